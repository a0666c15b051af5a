#include "client/identity/identity.h"

#include <cstdint>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/crypto/invitation.h"

namespace tributary::client {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(20);
constexpr absl::Duration kRenewalTimeout = absl::Seconds(8);  // a daemon that is told to stop may wait for it
constexpr uint64_t kMaxTokenBytes = 4096;

std::string JoiningDirectory(const std::string& directory) { return PkiDirectory(directory) + ".joining"; }
// The id, not the secret, of the invitation that is being used.
std::string TokenPath(const std::string& root) { return root + "/invitation-id"; }

rpc::JoinOptions OptionsForClient() {
  rpc::JoinOptions options;
  options.role = crypto::InvitedRole::kClient;
  options.version = TRIBUTARY_VERSION;
  options.timeout = kCallTimeout;
  return options;
}

// The names are used in the order of a join with --replace: pki.joining becomes pki, which became pki.replaced. A crash
// between the two renames leaves a complete pki.joining, which the next JoinAgain puts in place.
absl::Status PutInPlace(const std::string& directory) {
  const std::string pki = PkiDirectory(directory), joining = JoiningDirectory(directory);
  std::error_code error;
  if (std::filesystem::exists(pki, error)) {
    std::filesystem::remove_all(pki + ".replaced", error);
    std::filesystem::rename(pki, pki + ".replaced", error);
    if (error) return ErrnoToStatus(error.value(), absl::StrCat("rename ", pki));
  }
  std::filesystem::rename(joining, pki, error);
  if (error) return ErrnoToStatus(error.value(), absl::StrCat("rename ", joining));
  TRB_RETURN_IF_ERROR(SyncDirectory(directory));
  return RemoveFile(TokenPath(pki));
}

// What an earlier JoinAgain left complete is put in place. True when it was made with this invitation.
absl::StatusOr<bool> FinishEarlierJoin(const std::string& token_id, const std::string& directory) {
  const std::string joining = JoiningDirectory(directory);
  if (!rpc::LoadLocalIdentity(joining).ok()) return false;
  const absl::StatusOr<std::string> token = ReadFile(TokenPath(joining), kMaxTokenBytes);
  TRB_RETURN_IF_ERROR(PutInPlace(directory));
  return token.ok() && *token == token_id;
}

}  // namespace

std::string PkiDirectory(const std::string& directory) { return directory + "/pki"; }

absl::StatusOr<rpc::LocalIdentity> Join(const std::string& invitation, const std::string& directory,
                                        const Clock& clock) {
  return rpc::JoinFederation(invitation, PkiDirectory(directory), OptionsForClient(), clock);
}

absl::StatusOr<rpc::LocalIdentity> JoinAgain(const std::string& invitation, const std::string& directory,
                                             const Clock& clock) {
  TRB_RETURN_IF_ERROR(rpc::CheckNoAuthority(PkiDirectory(directory)));
  TRB_ASSIGN_OR_RETURN(const crypto::Invitation parsed, crypto::ParseInvitation(invitation));
  TRB_ASSIGN_OR_RETURN(const bool finished, FinishEarlierJoin(parsed.token_id, directory));
  if (finished) return LoadIdentity(directory);
  // Nothing to replace, perhaps a key that waits for its retry.
  if (absl::IsNotFound(rpc::LoadLocalIdentity(PkiDirectory(directory)).status()))
    return Join(invitation, directory, clock);
  const std::string joining = JoiningDirectory(directory);
  TRB_RETURN_IF_ERROR(MakeDirectories(joining, 0700));
  TRB_RETURN_IF_ERROR(WriteFileDurably(TokenPath(joining), parsed.token_id, 0600));
  const auto identity = rpc::JoinFederation(invitation, joining, OptionsForClient(), clock);
  if (identity.ok()) {
    TRB_RETURN_IF_ERROR(PutInPlace(directory));
  } else if (!crypto::CredentialDirectory(joining).HasPending()) {  // refused for good
    std::error_code ignored;
    std::filesystem::remove_all(joining, ignored);
  }
  return identity;
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
  const absl::StatusOr<absl::Time> due = Due();
  // Of this machine (a key that others may read, say), which a caller must not take for the coordinator's refusal.
  if (!due.ok()) return absl::FailedPreconditionError(due.status().message());
  return clock_.Now() < *due ? absl::StatusOr<bool>(false) : Renew();
}

absl::StatusOr<bool> Renewer::Renew() {
  TRB_RETURN_IF_ERROR(rpc::RenewCredential(endpoint_, PkiDirectory(directory_), kRenewalTimeout));
  return true;
}

}  // namespace tributary::client
