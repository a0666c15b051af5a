// Joins a federation: what `tributary-client join` and `tributary join` share.
//
//   ROOT/                  a CredentialDirectory
//   ROOT/identity.json     who this is and where the coordinator listens; written last, so that its presence means
//   joined
//
// The key is made on site and synced before the first byte is sent. After a transport error key and request stay for
// the retry; after a definitive refusal they are removed.
#ifndef TRIBUTARY_COMMON_RPC_ENROLMENT_CLIENT_H_
#define TRIBUTARY_COMMON_RPC_ENROLMENT_CLIENT_H_

#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/crypto/credential_directory.h"
#include "common/crypto/invitation.h"

namespace tributary::rpc {

// Who this installation is.
struct LocalIdentity {
  std::string id;
  std::string name;
  std::string role;        // "client" or "operator"
  std::string federation;  // id
  std::string main_endpoint, enrol_endpoint;
};

// ROOT/identity.json. NOT_FOUND: not joined yet.
absl::StatusOr<LocalIdentity> LoadLocalIdentity(const std::string& root);
absl::Status StoreLocalIdentity(const std::string& root, const LocalIdentity& identity);

// ALREADY_EXISTS when ROOT is a coordinator's: its keys are there, and a member's would hide or replace them.
absl::Status CheckNoAuthority(const std::string& root);

struct JoinOptions {
  crypto::InvitedRole role = crypto::InvitedRole::kClient;  // whom this program can serve
  std::string version;                                      // of the software, at most 64 characters
  absl::Duration timeout = absl::Seconds(20);               // of the call
};

// PERMISSION_DENIED   definitive: garbled, for another role, expired, refused, or the server is not the one that the
//                     invitation names. Nothing is left behind.
// ALREADY_EXISTS      joined before, the identity stays as it is; or a coordinator's directory.
// UNAVAILABLE, DEADLINE_EXCEEDED   try again with the same invitation: key and request are kept.
// FAILED_PRECONDITION versions too far apart; nothing is left behind.
absl::StatusOr<LocalIdentity> JoinFederation(const std::string& invitation_text, const std::string& root,
                                             const JoinOptions& options, const Clock& clock);

// One renewal over the main port: new key, request, Renew, swap; also of the authorities, as far as they are vouched
// for (crypto::Adopt). OK: the directory holds the new certificate; open a
// new channel, the first call on it ends the old certificate. Transport errors keep the pending key for the retry.
// UNAUTHENTICATED / PERMISSION_DENIED: the identity is gone (revoked, expired): a new invitation is needed.
absl::Status RenewCredential(const std::string& endpoint, const std::string& root, absl::Duration timeout);

// Says which authorities ROOT trusts, takes over what the coordinator answers as far as it is vouched for, and says so
// again when that changed something. For peers without a session. True: the certificate should be renewed, because the
// active authority is another than its issuer. UNIMPLEMENTED: an older coordinator. PERMISSION_DENIED: nobody vouches.
absl::StatusOr<bool> FollowAuthorities(const std::string& endpoint, const std::string& root, const Clock& clock,
                                       absl::Duration timeout);

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_ENROLMENT_CLIENT_H_
