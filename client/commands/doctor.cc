#include <sys/statvfs.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/commands/data_summary.h"
#include "client/identity/identity.h"
#include "client/policy/policy.h"
#include "client/session/certificate_renewal.h"
#include "client/session/client_ledger.h"
#include "client/session/client_settings.h"
#include "client/session/data_holder.h"
#include "client/session/grpc_link.h"
#include "common/base/clock.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/crypto/credential_directory.h"
#include "common/nn/engine.h"
#include "tributary/v1/update.pb.h"

namespace tributary::commands {
namespace {

constexpr uint64_t kLeastFreeBytes = uint64_t{256} << 20;
constexpr absl::Duration kLargestSkew = absl::Minutes(2);
constexpr absl::Duration kProbeTimeout = absl::Seconds(10);

// Prints a line a check, and counts what is wrong.
class Findings {
 public:
  explicit Findings(std::ostream* out) : out_(*out) {}

  void Good(const std::string& what, const std::string& detail) { Line("ok   ", what, detail); }
  void Warn(const std::string& what, const std::string& detail) { Line("warn ", what, detail); }
  void Wrong(const std::string& what, const absl::Status& status, const std::string& mend) {
    ++wrong_;
    Line("WRONG", what, std::string(status.message()));
    if (!mend.empty()) out_ << "        mend: " << mend << "\n";
  }
  int wrong() const { return wrong_; }

 private:
  void Line(const char* verdict, const std::string& what, const std::string& detail) {
    out_ << verdict << " " << what << ": " << detail << "\n" << std::flush;
  }

  std::ostream& out_;
  int wrong_ = 0;
};

// What another user's directory hides is not broken.
std::string MendFor(const absl::Status& fault, const std::string& usual) {
  return absl::IsPermissionDenied(fault) ? "run this as the user that the daemon runs as" : usual;
}

void CheckEngine(Findings* findings) {
  const absl::Status engine = nn::CheckEngine();
  if (engine.ok()) {
    findings->Good("engine", nn::DescribeEngines());
  } else {
    findings->Wrong("engine", engine, "unset TRIBUTARY_ISA, or set it to what this processor has");
  }
}

void CheckDisk(const std::string& directory, Findings* findings) {
  struct statvfs info {};
  if (statvfs(directory.c_str(), &info) != 0)
    return findings->Wrong("disk", ErrnoToStatus(errno, directory), "make the directory readable, or join again");
  const uint64_t free_bytes = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  const std::string text = absl::StrCat(free_bytes >> 20, " MiB free under ", directory);
  if (free_bytes >= kLeastFreeBytes) return findings->Good("disk", text);
  findings->Wrong("disk", absl::ResourceExhaustedError(text), "free some space: models and updates are kept here");
}

// The identity, when it can be used at all.
bool CheckCertificate(const std::string& directory, Findings* findings) {
  const absl::Time now = Clock::System().Now();
  const auto credential = crypto::CredentialDirectory(client::PkiDirectory(directory)).Load();
  if (!credential.ok()) {
    findings->Wrong("certificate", credential.status(),
                    absl::IsPermissionDenied(credential.status())
                        ? absl::StrCat("chmod -R go= ", client::PkiDirectory(directory))
                        : "take a new invitation and join again");
    return false;
  }
  const crypto::Certificate& own = credential->certificate;
  if (const absl::Status expired = session::CheckNotExpired(own, now); !expired.ok()) {
    findings->Wrong("certificate", expired,
                    "ask for an invitation made with --replace, then `tributary-client join --replace`; or, if the "
                    "clock of this machine is wrong, set it");
    return false;
  }
  if (now + kLargestSkew < own.not_before()) {
    findings->Wrong("clock", absl::FailedPreconditionError(session::ClockFault(own, now)),
                    "set the clock of this machine: it is behind");
    return false;
  }
  findings->Good("certificate",
                 absl::StrCat("valid until ", absl::FormatTime(absl::RFC3339_sec, own.not_after(), absl::UTCTimeZone()),
                              ", renewed from ",
                              absl::FormatTime(absl::RFC3339_sec, crypto::RenewalDue(own), absl::UTCTimeZone())));
  return true;
}

void CheckCoordinator(const std::string& directory, const rpc::LocalIdentity& identity, Findings* findings) {
  const absl::Status answer =
      session::ProbeCoordinator(identity.main_endpoint, client::PkiDirectory(directory), kProbeTimeout);
  if (answer.ok()) return findings->Good("coordinator", absl::StrCat(identity.main_endpoint, " answers"));
  const bool refused = absl::IsPermissionDenied(answer) || absl::IsUnauthenticated(answer);
  findings->Wrong("coordinator", Annotate(answer, identity.main_endpoint),
                  refused ? "this client is revoked or was replaced: ask the operator"
                          : "check that it runs, and that a firewall lets this machine connect to it");
}

void CheckData(const std::string& directory, const policy::Policy& policy, Findings* findings, std::ostream* out) {
  const auto settings = session::LoadClientSettings(directory + "/client.toml");
  if (!settings.ok())
    return findings->Wrong("settings", settings.status(), MendFor(settings.status(), "mend the file, or join again"));
  findings->Good("settings", directory + "/client.toml");
  const auto data = session::DataHolder::Load(*settings, policy);
  if (!data->status().ok())
    return findings->Wrong("data", data->status(), "mend the file named above, or the path in client.toml");
  findings->Good("data", session::DescribeFacts(data->facts()));
  *out << DataSummary(*settings, *data);
}

absl::StatusOr<policy::Policy> CheckPolicy(const std::string& directory, Findings* findings) {
  auto policy = policy::LoadPolicy(directory + "/policy.toml");
  if (absl::IsNotFound(policy.status())) {
    findings->Warn("policy", "no policy.toml: the defaults hold");
    return policy::Policy();
  }
  if (policy.ok()) {
    findings->Good("policy", directory + "/policy.toml");
  } else {
    findings->Wrong("policy", policy.status(), MendFor(policy.status(), "mend the lines named above"));
  }
  return policy;
}

// The coordinator's time is known from its receipts alone.
void CheckLedger(const std::string& directory, Findings* findings) {
  const auto ledger = session::ClientLedger::OpenReadOnly(directory);
  if (absl::IsNotFound(ledger.status())) return findings->Good("ledger", "none yet: the client has not run");
  if (!ledger.ok())
    return findings->Wrong("ledger", ledger.status(),
                           MendFor(ledger.status(), "stop the daemon, move client.db away and start it again"));
  uint64_t rows = 0;
  int64_t skew_ms = 0;
  const absl::Status read = (*ledger)->ListSent([&](const session::SentRow& row) {
    ++rows;
    v1::Receipt receipt;
    if (!row.receipt.empty() && receipt.ParseFromString(row.receipt))
      skew_ms = row.last_unix_ms - receipt.accepted_unix_ms();
    return absl::OkStatus();
  });
  if (!read.ok()) return findings->Wrong("ledger", read, "stop the daemon, move client.db away and start it again");
  findings->Good("ledger", absl::StrCat(rows, " rows of uploads"));
  if (std::llabs(skew_ms) > absl::ToInt64Milliseconds(kLargestSkew))
    findings->Warn("clock", absl::StrCat("at the last receipt this clock was ", skew_ms / 1000,
                                         " s from the coordinator's: one of the two is wrong"));
}

absl::Status Doctor(const std::string& directory, Console* console) {
  Findings findings(&console->out);
  CheckEngine(&findings);
  CheckDisk(directory, &findings);
  const auto policy = CheckPolicy(directory, &findings);
  CheckData(directory, policy.ok() ? *policy : policy::Policy(), &findings, &console->out);
  CheckLedger(directory, &findings);
  const auto identity = client::LoadIdentity(directory);
  if (!identity.ok()) {
    findings.Wrong("identity", identity.status(),
                   MendFor(identity.status(), "take an invitation and run `tributary-client join`"));
  } else {
    findings.Good("identity", absl::StrCat(identity->name, " (", identity->id, ")"));
    if (CheckCertificate(directory, &findings)) CheckCoordinator(directory, *identity, &findings);
  }
  if (findings.wrong() == 0) return absl::OkStatus();
  return WithFix(absl::UnknownError(absl::StrCat(findings.wrong(), " thing(s) wrong")), "see `mend` above");
}

}  // namespace

void AddDoctor(CLI::App* app, Console* console, Verb* chosen) {
  CLI::App* verb = app->add_subcommand("doctor", "Say what is wrong with this client, and how to mend it");
  auto directory = std::make_shared<std::string>();
  verb->add_option("--dir", *directory, "this client's directory")->required();
  verb->footer(
      "Exit code 1 when something is wrong. Safe beside a running daemon.\n\n"
      "Example:\n  tributary-client doctor --dir ~/tributary");
  verb->callback([=] { *chosen = [=] { return Doctor(*directory, console); }; });
}

}  // namespace tributary::commands
