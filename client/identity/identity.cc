#include "client/identity/identity.h"

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"

namespace tributary::client {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(20);

}  // namespace

std::string PkiDirectory(const std::string& directory) { return directory + "/pki"; }

absl::StatusOr<rpc::LocalIdentity> Join(const std::string& invitation, const std::string& directory,
                                        const Clock& clock) {
  rpc::JoinOptions options;
  options.role = crypto::InvitedRole::kClient;
  options.version = TRIBUTARY_VERSION;
  options.timeout = kCallTimeout;
  return rpc::JoinFederation(invitation, PkiDirectory(directory), options, clock);
}

absl::StatusOr<rpc::LocalIdentity> LoadIdentity(const std::string& directory) {
  auto identity = rpc::LoadLocalIdentity(PkiDirectory(directory));
  if (!absl::IsNotFound(identity.status())) return identity;
  return WithFix(absl::NotFoundError(absl::StrCat(directory, " has not joined a federation yet")),
                 absl::StrCat("ask the operator for an invitation, then run `tributary-client join --dir ", directory,
                              " --data PATH`"));
}

Renewer::Renewer(std::string directory, std::string endpoint, const Clock& clock)
    : directory_(std::move(directory)), endpoint_(std::move(endpoint)), clock_(clock) {}

absl::StatusOr<absl::Time> Renewer::Due() const {
  TRB_ASSIGN_OR_RETURN(const crypto::Credential credential,
                       crypto::CredentialDirectory(PkiDirectory(directory_)).Load());
  return crypto::RenewalDue(credential.certificate);
}

absl::StatusOr<bool> Renewer::RenewIfDue() {
  TRB_ASSIGN_OR_RETURN(const absl::Time due, Due());
  if (clock_.Now() < due) return false;
  TRB_RETURN_IF_ERROR(rpc::RenewCredential(endpoint_, PkiDirectory(directory_), kCallTimeout));
  return true;
}

}  // namespace tributary::client
