// The half of reading a command line that the three programs share: CLI11 speaks in exceptions and exit codes of its
// own; here they become ours (common/base/error_report.h).
#ifndef TRIBUTARY_COMMON_BASE_COMMAND_LINE_H_
#define TRIBUTARY_COMMON_BASE_COMMAND_LINE_H_

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace tributary {

// Where the answer to --help goes, and where errors do and in which shape.
struct CommandLineOutput {
  std::ostream& out;
  std::ostream& err;
  bool json_errors = false;
};

// Whether the arguments ask for JSON with -o or --output: known before they are parsed, so that a fault in them can be
// told in that shape.
bool AsksForJson(const std::vector<std::string>& arguments);

// `arguments` without the program's name. Nothing: go on with what was parsed. Else the program's exit code: 0 when
// help or the version was asked for and printed, kExitUsage after an error that was printed.
std::optional<int> ParseCommandLine(CLI::App* app, std::vector<std::string> arguments, const CommandLineOutput& output);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_COMMAND_LINE_H_
