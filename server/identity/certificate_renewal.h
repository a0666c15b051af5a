// Keeps the coordinator's own certificates fresh: those of the two ports and the local operator's, with new keys,
// without a restart (credentials watch their directories). Not thread-safe: one thread calls Tick.
#ifndef TRIBUTARY_SERVER_IDENTITY_CERTIFICATE_RENEWAL_H_
#define TRIBUTARY_SERVER_IDENTITY_CERTIFICATE_RENEWAL_H_

#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "server/identity/ca.h"

namespace tributary::identity {

class CertificateRenewal {
 public:
  // All are borrowed and must outlive it.
  CertificateRenewal(std::string directory, Federation federation, const CertificateAuthority& authority,
                     IdentityStore& store, const Clock& clock);

  // Renews what is due (crypto::RenewalDue), or damaged, or expired while the coordinator was down. Call it before the
  // listeners open and then about once a minute. An error leaves the old certificate in use; call again.
  absl::Status Tick();

 private:
  absl::Status RenewServer(rpc::Listener listener);
  absl::Status RenewOperator();

  const std::string directory_;
  const Federation federation_;
  const CertificateAuthority& authority_;
  IdentityStore& store_;
  const Clock& clock_;
};

}  // namespace tributary::identity

#endif  // TRIBUTARY_SERVER_IDENTITY_CERTIFICATE_RENEWAL_H_
