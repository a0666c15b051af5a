// When a running daemon should renew its certificate: when it is due and nothing is held, or, when something always is,
// once a tenth of its life is left. Sooner when it was asked to (ReissueAfter): then ten seconds later when something
// is held. After a failure not again for a minute; after a renewal that leaves it due by this machine's clock, which is
// wrong then, not for an hour. Threads: every method is safe from any thread.
#ifndef TRIBUTARY_CLIENT_SESSION_CERTIFICATE_RENEWAL_H_
#define TRIBUTARY_CLIENT_SESSION_CERTIFICATE_RENEWAL_H_

#include <functional>
#include <string>

#include "client/identity/identity.h"
#include "client/session/session_loop.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/crypto/credential_cache.h"

namespace tributary::session {

class CertificateRenewal final : public Renewal {
 public:
  // `clock` is borrowed.
  CertificateRenewal(const std::string& directory, const std::string& endpoint, const Clock* clock);

  bool Wanted(bool idle) override;
  absl::StatusOr<bool> Renew() override;
  // The authority that issues is another than the certificate's: renew after this time from now, or as it was asked
  // before when that is sooner. Infinite: there is no need.
  void ReissueAfter(absl::Duration d) TRB_EXCLUDES(mu_);

 private:
  void PauseFor(absl::Duration d) TRB_EXCLUDES(mu_);
  bool IsPausing() TRB_EXCLUDES(mu_);
  // Monotonic; infinite when nobody asked.
  absl::Duration reissue_at() TRB_EXCLUDES(mu_);

  crypto::CredentialCache credentials_;
  client::Renewer renewer_;
  const Clock& clock_;
  Mutex mu_;
  absl::Duration not_before_ TRB_GUARDED_BY(mu_) = -absl::InfiniteDuration();
  absl::Duration reissue_at_ TRB_GUARDED_BY(mu_) = absl::InfiniteDuration();
};

// Empty while `now` is within the certificate's time; else both, in words: "this machine's clock says ..., this
// client's certificate is valid from ... to ...".
std::string ClockFault(const crypto::Certificate& certificate, absl::Time now);
// PERMISSION_DENIED when the installed certificate has expired by this clock; says how to come back.
absl::Status CheckNotExpired(const crypto::Certificate& certificate, absl::Time now);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_CERTIFICATE_RENEWAL_H_
