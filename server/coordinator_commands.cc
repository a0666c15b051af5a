#include "server/coordinator_commands.h"

#include <pthread.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/command_line.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/proto_json.h"
#include "common/base/stop_limit.h"
#include "common/crypto/secure_random.h"
#include "common/rpc/grpc_log.h"
#include "server/ca_commands.h"
#include "server/identity/federation_init.h"
#include "server/ledger/backup.h"
#include "server/ledger/identity_ledger.h"
#include "server/ledger/ledger_store.h"
#include "server/ledger/verify.h"
#include "server/service/coordinator.h"
#include "server/service/settings.h"

namespace tributary {
namespace {

struct Arguments {
  std::string dir, format = "table";
  identity::Federation wanted;  // init
  std::string head;             // verify
  std::string to, from;         // backup, restore
  bool with_keys = false, dry_run = false;
  bool leave_behind = false;  // ca
};

void Say(const std::string& text) { std::fprintf(stdout, "%s\n", text.c_str()); }

// ---- the verbs

absl::Status Init(const Arguments& a) {
  TRB_RETURN_IF_ERROR(identity::CheckNotInitialised(a.dir));
  TRB_RETURN_IF_ERROR(MakeDirectories(a.dir, 0700));
  TRB_ASSIGN_OR_RETURN(const auto lock, DirectoryLock::Acquire(a.dir));
  TRB_ASSIGN_OR_RETURN(const auto database, ledger::OpenLedger(a.dir));
  const auto store = ledger::MakeIdentityLedger(*database);
  TRB_ASSIGN_OR_RETURN(
      const identity::Federation made,
      identity::InitFederation(a.dir, a.wanted, *store, Clock::System(), crypto::SecureRandom::System()));
  TRB_RETURN_IF_ERROR(service::WriteSettings(a.dir, made));
  Say(absl::StrCat("federation ", made.id, " is in ", a.dir, "\nstart it: tributary-coordinator run --dir ", a.dir));
  return absl::OkStatus();
}

// SIGINT, SIGTERM and SIGHUP are blocked in every thread (they inherit it) and taken here.
absl::Status Run(const Arguments& a, const sigset_t& signals) {
  rpc::TakeOverGrpcLog();
  TRB_ASSIGN_OR_RETURN(const auto coordinator,
                       service::Coordinator::Start({.directory = a.dir, .program = "/proc/self/exe"}));
  std::fprintf(stderr, "ready main=%s enrol=%s\n", coordinator->MainEndpoint().c_str(),
               coordinator->EnrolEndpoint().c_str());
  int signal_number = 0;
  for (sigwait(&signals, &signal_number); signal_number == SIGHUP; sigwait(&signals, &signal_number)) {
    const absl::Status reloaded = coordinator->Reload();
    if (reloaded.ok()) Log(LogLevel::kInfo, "settings_reloaded");
    if (!reloaded.ok()) Log(LogLevel::kError, "settings_kept", {{"reason", reloaded.ToString()}});
  }
  Log(LogLevel::kInfo, "stopping", {{"signal", signal_number}});
  std::stop_source stop;
  const StopLimit limit(stop.get_token());
  stop.request_stop();
  coordinator->Stop();
  return absl::OkStatus();
}

absl::Status Verify(const Arguments& a) {
  ledger::VerifyOptions what;
  what.head = a.head;
  TRB_ASSIGN_OR_RETURN(const v1::HistoryVerification answer, ledger::VerifyDirectory(a.dir, what));
  if (a.format == "json") {
    Say(ProtoToJson(answer));
  } else {
    Say(absl::StrCat(answer.ok() ? "ok" : "damaged", " rounds=", answer.rounds_checked(), " blobs=",
                     answer.blobs_checked(), " blobs_missing=", answer.blobs_missing(), " head=", answer.head_sha256(),
                     " audit_rows=", answer.audit_rows_checked(), " audit_head=", answer.audit_head_sha256()));
  }
  if (answer.ok()) return absl::OkStatus();
  const v1::HistoryFault& fault = answer.first_fault();
  if (fault.audit_sequence() > 0) {
    return WithFix(absl::DataLossError(fault.what()),
                   "the audit was changed after it was written: restore a backup, or find out who changed it");
  }
  if (fault.run().empty() && a.head.empty()) {
    return WithFix(absl::DataLossError(fault.what()),
                   "what is stored was changed after it was recorded: restore a backup, or find out who changed it");
  }
  if (fault.run().empty()) {
    return WithFix(absl::DataLossError(fault.what()),
                   "the history here is not the one that the digest was noted of: it was rewritten, or rolled back");
  }
  return WithFix(absl::DataLossError(absl::StrCat("run ", fault.run(), " round ", fault.round(), ": ", fault.what())),
                 "what is stored was changed after it was recorded: restore a backup, or find out who changed it");
}

absl::Status Backup(const Arguments& a) {
  TRB_ASSIGN_OR_RETURN(const ledger::BackupSummary done, ledger::Backup(a.dir, a.to, a.with_keys));
  Say(absl::StrCat(a.to, ": ", done.files, " files, ", done.bytes, " bytes, ", done.private_keys_left_out,
                   " private keys left out"));
  return absl::OkStatus();
}

absl::Status Restore(const Arguments& a) {
  TRB_ASSIGN_OR_RETURN(const ledger::BackupSummary done, ledger::Restore(a.from, a.dir));
  Say(absl::StrCat(a.dir, ": ", done.files, " files, ", done.bytes, " bytes"));
  return absl::OkStatus();
}

absl::Status Upgrade(const Arguments& a) {
  TRB_ASSIGN_OR_RETURN(const auto steps, ledger::Upgrade(a.dir, a.dry_run));
  for (const std::string& step : steps) Say(absl::StrCat(a.dry_run ? "would do: " : "done: ", step));
  if (steps.empty()) Say("nothing to do: the schema is the newest");
  return absl::OkStatus();
}

CaArguments OfCa(const Arguments& a) { return {a.dir, a.format == "json", a.leave_behind}; }

// ---- parsing

CLI::App* Verb(CLI::App* app, Arguments* a, const char* name, const char* what, const char* example) {
  CLI::App* verb = app->add_subcommand(name, what);
  verb->footer(std::string("Example:\n  ") + example);
  verb->add_option("--dir", a->dir, "The coordinator's directory (or TRIBUTARY_DIR)")->required(a->dir.empty());
  verb->add_option("-o,--output", a->format, "table or json; json also shapes errors")
      ->check(CLI::IsMember({"table", "json"}));
  return verb;
}

using Verbs = std::vector<std::pair<CLI::App*, std::function<absl::Status()>>>;

// The steps of replacing the authority, beside a running coordinator.
Verbs AddCaVerbs(CLI::App* app, Arguments* a) {
  CLI::App* ca = app->add_subcommand("ca", "Replace the federation's certificate authority, step by step");
  ca->require_subcommand(1);
  CLI::App* status = Verb(ca, a, "status", "The authorities, who trusts them, and what to do next",
                          "tributary-coordinator ca status --dir /var/lib/tributary");
  CLI::App* stage = Verb(ca, a, "stage", "Make the next authority, for everybody to trust before it issues",
                         "tributary-coordinator ca stage --dir /var/lib/tributary");
  CLI::App* activate = Verb(ca, a, "activate", "Let the staged authority issue from now on",
                            "tributary-coordinator ca activate --dir /var/lib/tributary");
  CLI::App* retire = Verb(ca, a, "retire", "Refuse the certificates of the authority before, and delete its key",
                          "tributary-coordinator ca retire --dir /var/lib/tributary");
  activate->add_flag("--leave-behind", a->leave_behind, "Also when clients have not confirmed the new authority");
  retire->add_flag("--leave-behind", a->leave_behind, "Also when some still hold certificates of the old authority");
  return {{status, [a] { return CaStatus(OfCa(*a)); }},
          {stage, [a] { return CaStage(OfCa(*a)); }},
          {activate, [a] { return CaActivate(OfCa(*a)); }},
          {retire, [a] { return CaRetire(OfCa(*a)); }}};
}

Verbs AddVerbs(CLI::App* app, Arguments* a, const sigset_t* signals) {
  CLI::App* init = Verb(app, a, "init", "Make a federation: authority, certificates, ledger, first operator",
                        "tributary-coordinator init --dir /var/lib/tributary --name fed.example.org");
  init->add_option("--name", a->wanted.host, "Host name or address that clients dial; the certificate names it")
      ->required();
  init->add_option("--listen", a->wanted.listen, "ADDR:PORT for enrolled peers; port 0: chosen once")
      ->capture_default_str();
  init->add_option("--enrol-listen", a->wanted.enrol_listen, "ADDR:PORT for enrolment; port 0: chosen once")
      ->capture_default_str();
  init->add_option("--advertise", a->wanted.advertise, "HOST:PORT that invitations carry; default: the name");
  CLI::App* run = Verb(app, a, "run", "Run the federation until SIGTERM or SIGINT",
                       "tributary-coordinator run --dir /var/lib/tributary");
  CLI::App* verify = Verb(app, a, "verify", "Check database, blobs, signatures and chain, offline",
                          "tributary-coordinator verify --dir /var/lib/tributary");
  verify->add_option("--head", a->head, "The digest of a record, or of a row of the audit, that must be there");
  CLI::App* backup = Verb(app, a, "backup", "Write the directory to one file, also while it runs",
                          "tributary-coordinator backup --dir /var/lib/tributary --to federation.backup");
  backup->add_option("--to", a->to, "File to write; must not exist")->required();
  backup->add_flag("--with-keys", a->with_keys, "Private keys too: whoever has the file owns the federation");
  CLI::App* restore = Verb(app, a, "restore", "Make a directory from a backup",
                           "tributary-coordinator restore --from federation.backup --dir /var/lib/tributary");
  restore->add_option("--from", a->from, "File that backup wrote")->required();
  CLI::App* upgrade = Verb(app, a, "upgrade", "Bring the ledger to this program's schema",
                           "tributary-coordinator upgrade --dir /var/lib/tributary --dry-run");
  upgrade->add_flag("--dry-run", a->dry_run, "Only say what would be done");
  Verbs verbs = AddCaVerbs(app, a);
  const Verbs own = {{init, [a] { return Init(*a); }},       {run, [a, signals] { return Run(*a, *signals); }},
                     {verify, [a] { return Verify(*a); }},   {backup, [a] { return Backup(*a); }},
                     {restore, [a] { return Restore(*a); }}, {upgrade, [a] { return Upgrade(*a); }}};
  verbs.insert(verbs.end(), own.begin(), own.end());
  return verbs;
}

int Dispatch(const Verbs& verbs, const Arguments& arguments) {
  for (const auto& [verb, action] : verbs) {
    if (!verb->parsed()) continue;
    const absl::Status done = action();
    if (!done.ok()) std::fputs(FormatError(done, arguments.format == "json").c_str(), stderr);
    return ExitCodeFor(done);
  }
  return kExitUsage;
}

}  // namespace

int RunCoordinatorCommand(int argc, const char* const* argv) {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);

  CLI::App app("Runs a federation: sends out the model, averages what comes back, keeps a history that can be checked.",
               "tributary-coordinator");
  app.set_version_flag("--version", TRIBUTARY_VERSION);
  app.require_subcommand(1);
  Arguments arguments;
  // Before parsing, so that --dir wins. (CLI11 would set an option from the environment once for every verb that has
  // it.)
  if (const char* dir = std::getenv("TRIBUTARY_DIR")) arguments.dir = dir;
  const Verbs verbs = AddVerbs(&app, &arguments, &signals);
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (const auto code = ParseCommandLine(&app, words, {std::cout, std::cerr, AsksForJson(words)})) return *code;
  if (app.got_subcommand("run")) pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return Dispatch(verbs, arguments);
}

}  // namespace tributary
