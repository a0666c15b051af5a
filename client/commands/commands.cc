#include "client/commands/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <ostream>

#include "common/base/error_report.h"

namespace tributary::commands {
namespace {

// CLI11 takes arguments in reverse order and speaks in exceptions.
int Parse(CLI::App* app, std::vector<std::string> arguments, Console* console) {
  std::reverse(arguments.begin(), arguments.end());
  try {
    app->parse(std::move(arguments));
    return kExitOk;
  } catch (const CLI::ParseError& e) {
    const int code = app->exit(e, console->out, console->err);
    return code == 0 ? -1 : kExitUsage;
  }
}

int Report(const absl::Status& status, Console* console) {
  if (!status.ok()) console->err << FormatError(status, false) << std::flush;
  return ExitCodeFor(status);
}

}  // namespace

int RunCommandLine(const std::vector<std::string>& arguments, Console* console) {
  CLI::App app("Trains models of a federation on the data of this machine. The data never leave it.",
               "tributary-client");
  app.set_version_flag("--version", TRIBUTARY_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  Verb chosen;
  AddJoin(&app, console, &chosen);
  AddRun(&app, console, &chosen);
  AddUploads(&app, console, &chosen);
  AddDoctor(&app, console, &chosen);
  try {
    if (const int code = Parse(&app, arguments, console); code != kExitOk) return std::max(code, 0);
    return Report(chosen(), console);
  } catch (const std::exception& e) {
    console->err << FormatError(absl::InternalError(e.what()), false) << std::flush;
    return kExitBug;
  }
}

}  // namespace tributary::commands
