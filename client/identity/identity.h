// The client's place in a federation, kept in DIR/pki (common/rpc/enrolment_client.h says which files).
// Threads: functions are safe from any thread; a Renewer belongs to one.
#ifndef TRIBUTARY_CLIENT_IDENTITY_IDENTITY_H_
#define TRIBUTARY_CLIENT_IDENTITY_IDENTITY_H_

#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/crypto/credential_directory.h"
#include "common/rpc/enrolment_client.h"

namespace tributary::client {

// DIR/pki.
std::string PkiDirectory(const std::string& directory);

// Errors as rpc::JoinFederation: PERMISSION_DENIED is definitive, UNAVAILABLE and DEADLINE_EXCEEDED may be retried with
// the same invitation, ALREADY_EXISTS when DIR has joined before.
absl::StatusOr<rpc::LocalIdentity> Join(const std::string& invitation, const std::string& directory,
                                        const Clock& clock);
// As Join, where DIR may have an identity already, expired or replaced by the operator. That one stays in place until
// the new one is complete, then lies in DIR/pki.replaced; a refusal leaves it as it was. After a transport error the
// new key waits in DIR/pki.joining: the retry uses it again, so that an answer that was lost does no harm.
absl::StatusOr<rpc::LocalIdentity> JoinAgain(const std::string& invitation, const std::string& directory,
                                             const Clock& clock);
// NOT_FOUND: not joined yet; says how.
absl::StatusOr<rpc::LocalIdentity> LoadIdentity(const std::string& directory);

// Renews the client's certificate when it is due.
class Renewer {
 public:
  // `clock` is borrowed.
  Renewer(std::string directory, std::string endpoint, const Clock& clock);

  // When the installed certificate should be renewed. Errors as CredentialDirectory::Load.
  absl::StatusOr<absl::Time> Due() const;
  // False when nothing was due. True after a renewal: open a new channel and end the session on the old one, so that
  // the first call on the new one ends the old certificate. Errors as rpc::RenewCredential; try again in a minute or
  // so, except after UNAUTHENTICATED or PERMISSION_DENIED.
  absl::StatusOr<bool> RenewIfDue();
  // As if it were due. Never false.
  absl::StatusOr<bool> Renew();

 private:
  const std::string directory_, endpoint_;
  const Clock& clock_;
};

}  // namespace tributary::client

#endif  // TRIBUTARY_CLIENT_IDENTITY_IDENTITY_H_
