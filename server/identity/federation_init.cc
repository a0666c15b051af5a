#include "server/identity/federation_init.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/rpc/enrolment_client.h"
#include "server/identity/ca.h"
#include "server/identity/certificate_renewal.h"

namespace tributary::identity {
namespace {

constexpr size_t kIdBytes = 8;

bool IsHost(const std::string& host) {
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == ':';
  });
}

absl::Status Validate(const Federation& wanted) {
  std::vector<std::string> faults;
  if (!IsHost(wanted.host)) faults.push_back("--name: give the host name or address that clients will dial");
  const auto check = [&faults](const char* flag, const std::string& text) {
    const auto parsed = ParseHostPort(text);
    if (!parsed.ok()) faults.push_back(absl::StrCat(flag, ": ", std::string(parsed.status().message())));
  };
  check("--listen", wanted.listen);
  check("--enrol-listen", wanted.enrol_listen);
  if (!wanted.advertise.empty()) check("--advertise", wanted.advertise);
  return faults.empty() ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrJoin(faults, "\n"));
}

// Also a name for `tributary` on this host; where the coordinator listens it reads from the coordinator's own files.
absl::Status MakeLocalOperator(const std::string& directory, const Federation& federation, IdentityStore& store,
                               const CertificateAuthority& authority, const Clock& clock,
                               crypto::SecureRandom& random) {
  TRB_ASSIGN_OR_RETURN(const crypto::PrivateKey key, crypto::PrivateKey::Generate());
  Subject subject;
  subject.role = Role::kOperator;
  subject.id = random.Hex(kIdBytes);
  subject.name = kLocalOperator;
  subject.state = SubjectState::kActive;
  subject.created_unix_ms = clock.NowUnixMillis();
  if (const auto existing = store.GetSubject(Role::kOperator, kLocalOperator); existing.ok()) subject = *existing;
  TRB_ASSIGN_OR_RETURN(const crypto::Certificate certificate,
                       authority.IssuePeer(key.public_key(), Role::kOperator, subject.id, subject.name));
  TRB_RETURN_IF_ERROR(
      store.PutOperator(subject, ToRow(certificate, Role::kOperator, subject.id, "", clock.NowUnixMillis())).status());
  crypto::CredentialDirectory credentials = OperatorCredentialDirectory(directory);
  TRB_RETURN_IF_ERROR(credentials.Install({key, certificate, authority.certificate(), {}}));
  return rpc::StoreLocalIdentity(
      credentials.root(), {subject.id, subject.name, std::string(RoleName(Role::kOperator)), federation.id, "", ""});
}

}  // namespace

absl::Status CheckNotInitialised(const std::string& directory) {
  if (FileExists(directory + "/pki/identity.json"))
    return WithFix(absl::AlreadyExistsError(absl::StrCat(directory, " is that of a client or an operator")),
                   "choose another --dir: a coordinator needs a directory of its own");
  if (!FileExists(directory + "/federation.json")) return absl::OkStatus();
  return WithFix(absl::AlreadyExistsError(absl::StrCat(directory, " holds a federation already")),
                 absl::StrCat("choose another --dir, or start this one: tributary-coordinator run --dir ", directory));
}

absl::StatusOr<Federation> InitFederation(const std::string& directory, Federation wanted, IdentityStore& store,
                                          const Clock& clock, crypto::SecureRandom& random) {
  TRB_RETURN_IF_ERROR(Validate(wanted));
  TRB_RETURN_IF_ERROR(CheckNotInitialised(directory));
  wanted.id = random.Hex(kIdBytes);
  wanted.created_unix_ms = clock.NowUnixMillis();
  TRB_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  TRB_RETURN_IF_ERROR(MakeDirectories(directory + "/pki", 0700));
  TRB_ASSIGN_OR_RETURN(const auto authority, CertificateAuthority::Create(directory, wanted.id, clock, random));
  TRB_RETURN_IF_ERROR(MakeReceiptSigner(directory, *authority));
  TRB_RETURN_IF_ERROR(MakeLocalOperator(directory, wanted, store, *authority, clock, random));
  // The certificates of the two ports are those that the renewal finds missing.
  TRB_RETURN_IF_ERROR(CertificateRenewal(directory, wanted, *authority, store, clock).Tick());
  TRB_RETURN_IF_ERROR(StoreFederation(directory, wanted));
  return wanted;
}

}  // namespace tributary::identity
