#include "client/commands/commands.h"

#include <CLI/CLI.hpp>
#include <exception>
#include <ostream>

#include "common/base/command_line.h"
#include "common/base/error_report.h"

namespace tributary::commands {
namespace {

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
  Verb chosen;
  AddJoin(&app, console, &chosen);
  AddRun(&app, console, &chosen);
  AddUploads(&app, console, &chosen);
  AddDoctor(&app, console, &chosen);
  try {
    if (const auto code = ParseCommandLine(&app, arguments, {console->out, console->err})) return *code;
    return Report(chosen(), console);
  } catch (const std::exception& e) {
    console->err << FormatError(absl::InternalError(e.what()), false) << std::flush;
    return kExitBug;
  }
}

}  // namespace tributary::commands
