#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/commands/signals.h"
#include "client/session/daemon.h"
#include "common/base/logging.h"
#include "common/base/stop_limit.h"

namespace tributary::commands {
namespace {

absl::Status Run(const std::string& directory, Console* console) {
  const Signals signals;
  const StopLimit limit(signals.stop());
  bool ready = false;
  session::Daemon::Options options;
  options.directory = directory;
  options.on_open = [&](const v1::Welcome& welcome, const rpc::LocalIdentity& identity) {
    if (!ready)
      console->err << absl::StrCat("ready client=", welcome.name(), " coordinator=", identity.main_endpoint, "\n")
                   << std::flush;
    ready = true;
    Log(LogLevel::kInfo, "session_open", {{"client", welcome.name()}, {"id", welcome.client_id()}});
  };
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<session::Daemon> daemon, session::Daemon::Create(std::move(options)));
  TRB_RETURN_IF_ERROR(daemon->Run(signals.stop()));
  Log(LogLevel::kInfo, "stopped");
  return absl::OkStatus();
}

}  // namespace

void AddRun(CLI::App* app, Console* console, Verb* chosen) {
  CLI::App* verb = app->add_subcommand("run", "Stay connected, train what the policy allows, send the updates");
  auto directory = std::make_shared<std::string>();
  verb->add_option("--dir", *directory, "this client's directory")->required();
  verb->footer(
      "One line on stderr when the session is open: ready client=NAME coordinator=HOST:PORT\n\n"
      "Example:\n  tributary-client run --dir ~/tributary");
  verb->callback([=] { *chosen = [=] { return Run(*directory, console); }; });
}

}  // namespace tributary::commands
