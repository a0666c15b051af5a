// The verbs of `tributary-client`. Each registers its flags and example with CLI11 and sets `*chosen` when it was
// called. The answer goes to `out`, everything else to `err`.
#ifndef TRIBUTARY_CLIENT_COMMANDS_COMMANDS_H_
#define TRIBUTARY_CLIENT_COMMANDS_COMMANDS_H_

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace CLI {
class App;
}

namespace tributary::commands {

struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
};

using Verb = std::function<absl::Status()>;

void AddJoin(CLI::App* app, Console* console, Verb* chosen);
void AddRun(CLI::App* app, Console* console, Verb* chosen);
void AddUploads(CLI::App* app, Console* console, Verb* chosen);
void AddDoctor(CLI::App* app, Console* console, Verb* chosen);

// `arguments` without the program's name. The exit code (common/base/error_report.h).
int RunCommandLine(const std::vector<std::string>& arguments, Console* console);

}  // namespace tributary::commands

#endif  // TRIBUTARY_CLIENT_COMMANDS_COMMANDS_H_
