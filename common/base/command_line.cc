#include "common/base/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>
#include <utility>

#include "common/base/error_report.h"

namespace tributary {

bool AsksForJson(const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "-ojson" || word == "--output=json") return true;
    if ((word == "-o" || word == "--output") && i + 1 < arguments.size() && arguments[i + 1] == "json") return true;
  }
  return false;
}

std::optional<int> ParseCommandLine(CLI::App* app, std::vector<std::string> arguments,
                                    const CommandLineOutput& output) {
  std::reverse(arguments.begin(), arguments.end());  // what CLI11 takes
  try {
    app->parse(std::move(arguments));
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      app->exit(error, output.out, output.err);
      output.out.flush();
      return kExitOk;
    }
    const absl::Status usage = WithFix(absl::InvalidArgumentError(error.what()), "see --help of this command");
    output.err << FormatError(usage, output.json_errors) << std::flush;
    return kExitUsage;
  }
}

}  // namespace tributary
