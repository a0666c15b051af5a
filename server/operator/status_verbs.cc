#include <sys/statvfs.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/crypto/credential_directory.h"
#include "common/nn/engine.h"
#include "common/rpc/enrolment_client.h"
#include "server/operator/documents.h"
#include "server/operator/operator_directory.h"
#include "server/operator/verbs.h"

namespace tributary::op {
namespace {

constexpr uint64_t kLowDiskBytes = uint64_t{1} << 30;

absl::Status ShowStatus(Context* c) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, c->Connect());
  TRB_ASSIGN_OR_RETURN(const v1::Status status, api->GetStatus());
  return c->Print(Answer{&status, {&status}, StatusTable(status)});
}

// One line a check, `ok` or `PROBLEM`, and how to mend it.
class Findings {
 public:
  explicit Findings(std::ostream* out) : out_(*out) {}
  void Good(const std::string& what) { out_ << "ok       " << what << "\n"; }
  void Note(const std::string& what, const absl::Status& status) {
    if (status.ok()) return Good(what);
    ++problems_;
    out_ << "PROBLEM  " << what << "\n         " << FormatError(status, false);
  }
  int problems() const { return problems_; }

 private:
  std::ostream& out_;
  int problems_ = 0;
};

absl::Status CheckDisk(const std::string& dir) {
  struct statvfs info {};
  if (statvfs(dir.c_str(), &info) != 0) return ErrnoToStatus(errno, absl::StrCat("statvfs ", dir));
  const uint64_t free = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  if (free >= kLowDiskBytes) return absl::OkStatus();
  return WithFix(absl::ResourceExhaustedError(absl::StrCat(dir, ": only ", Bytes(free), " free")),
                 "free some space: a coordinator without any stops accepting updates");
}

absl::Status CheckCertificate(const crypto::Credential& credential, const Clock& clock) {
  if (clock.Now() < credential.certificate.not_before())
    return WithFix(absl::FailedPreconditionError("the certificate is not valid yet: this machine's clock is behind"),
                   "set the clock");
  if (clock.Now() >= credential.certificate.not_after())
    return WithFix(absl::FailedPreconditionError("the certificate has expired"),
                   "start the coordinator: it renews its own; on another machine join again with a new invitation");
  return absl::OkStatus();
}

absl::Status Doctor(Context* c) {
  Findings findings(&c->out);
  findings.Good(absl::StrCat("engine ", nn::DescribeEngines()));
  if (c->dir.empty()) return c->Connect().status();
  const absl::StatusOr<OperatorAccess> access = FindOperatorAccess(c->dir);
  findings.Note(absl::StrCat("directory ", c->dir), access.status());
  if (access.ok()) {
    findings.Note("disk space", CheckDisk(c->dir));
    const absl::StatusOr<crypto::Credential> credential = crypto::CredentialDirectory(access->credential_root).Load();
    findings.Note("operator key and certificate", credential.status());
    if (credential.ok()) findings.Note("certificate dates", CheckCertificate(*credential, *c->clock));
    absl::StatusOr<std::unique_ptr<OperatorApi>> api = c->Connect();
    const absl::Status reached = api.ok() ? (*api)->GetStatus().status() : api.status();
    findings.Note(absl::StrCat("coordinator at ", access->endpoint), reached);
  }
  if (findings.problems() == 0) return absl::OkStatus();
  return WithFix(absl::UnknownError(absl::StrCat(findings.problems(), " problem(s) found")),
                 "mend what is named above");
}

absl::StatusOr<std::string> ReadInvitation(const std::string& file) {
  if (!file.empty()) return ReadFile(file, 64 * 1024);
  // Never an argument: arguments can be read by every process of the machine.
  std::string text;
  std::getline(std::cin, text);
  if (text.empty()) return absl::InvalidArgumentError("no invitation on stdin; pipe it in, or use --invitation-file");
  return text;
}

absl::Status Join(const std::string& file, Context* c) {
  if (c->dir.empty()) return c->Connect().status();
  TRB_ASSIGN_OR_RETURN(const std::string invitation, ReadInvitation(file));
  TRB_RETURN_IF_ERROR(MakeDirectories(c->dir, 0700));
  rpc::JoinOptions options;
  options.role = crypto::InvitedRole::kOperator;
  options.version = TRIBUTARY_VERSION;
  TRB_ASSIGN_OR_RETURN(const rpc::LocalIdentity identity,
                       rpc::JoinFederation(invitation, JoinedRoot(c->dir), options, *c->clock));
  c->out << "joined federation " << identity.federation << " as operator " << identity.name << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddStatusVerbs(CLI::App* app, Registry* r) {
  CLI::App* status = r->Verb(app, "status", "The coordinator: version, endpoints, clients, runs",
                             "tributary status --dir /srv/federation");
  status->callback([r] { r->action = [r] { return ShowStatus(r->context); }; });
  CLI::App* doctor =
      r->Verb(app, "doctor", "What is wrong here, and how to mend it", "tributary doctor --dir /srv/federation");
  doctor->callback([r] { r->action = [r] { return Doctor(r->context); }; });
  auto file = std::make_shared<std::string>();
  CLI::App* join = r->Verb(app, "join", "Become an operator on this machine; the invitation comes on stdin",
                           "tributary join --dir ~/federation < invitation");
  join->add_option("--invitation-file", *file, "Read the invitation from this file instead of stdin");
  join->callback([file, r] { r->action = [file, r] { return Join(*file, r->context); }; });
}

}  // namespace tributary::op
