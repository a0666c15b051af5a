// The authorities that this client trusts: follows the coordinator when one of them takes over from another, as far as
// those that are trusted already vouch for it (crypto::Adopt), and has the certificate renewed under the new one.
// Threads: Take from one thread at a time; the rest from any.
#ifndef TRIBUTARY_CLIENT_SESSION_AUTHORITY_FOLLOWER_H_
#define TRIBUTARY_CLIENT_SESSION_AUTHORITY_FOLLOWER_H_

#include <string>
#include <vector>

#include "client/session/certificate_renewal.h"
#include "client/session/session_loop.h"
#include "common/base/clock.h"
#include "common/crypto/credential_directory.h"
#include "common/crypto/trust_list.h"

namespace tributary::session {

class AuthorityFollower final : public Authorities {
 public:
  // All are borrowed. `trust` is what the rest of the client goes by.
  AuthorityFollower(const std::string& directory, crypto::CurrentTrust* trust, CertificateRenewal* renewal,
                    const Clock* clock);

  std::vector<std::string> Trusted() override;
  bool Take(const v1::AuthorityList& list) override;
  std::string Fault() override;

 private:
  absl::StatusOr<bool> Adopt(const v1::AuthorityList& list);

  crypto::CredentialDirectory pki_;
  crypto::CurrentTrust& trust_;
  CertificateRenewal& renewal_;
  const Clock& clock_;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_AUTHORITY_FOLLOWER_H_
