#include "client/session/certificate_renewal.h"

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/crypto/credential_directory.h"

namespace tributary::session {
namespace {

constexpr absl::Duration kPauseAfterFailure = absl::Minutes(1);

}  // namespace

CertificateRenewal::CertificateRenewal(const std::string& directory, const std::string& endpoint, const Clock* clock)
    : directory_(directory), renewer_(directory, endpoint, *clock), clock_(*clock) {}

bool CertificateRenewal::Wanted(bool idle) {
  {
    const MutexLock lock(&mu_);
    if (clock_.Monotonic() < not_before_) return false;
  }
  const auto credential = crypto::CredentialDirectory(client::PkiDirectory(directory_)).Load();
  if (!credential.ok()) return false;
  const crypto::Certificate& c = credential->certificate;
  if (clock_.Now() < crypto::RenewalDue(c)) return false;
  return idle || clock_.Now() > c.not_after() - (c.not_after() - c.not_before()) / 10;
}

absl::StatusOr<bool> CertificateRenewal::Renew() {
  absl::StatusOr<bool> renewed = renewer_.RenewIfDue();
  if (!renewed.ok()) {
    const MutexLock lock(&mu_);
    not_before_ = clock_.Monotonic() + kPauseAfterFailure;
  }
  return renewed;
}

absl::Status CheckNotExpired(const crypto::Certificate& certificate, absl::Time now) {
  if (now < certificate.not_after()) return absl::OkStatus();
  return WithFix(absl::PermissionDeniedError(
                     absl::StrCat("this client's certificate expired on ",
                                  absl::FormatTime(absl::RFC3339_sec, certificate.not_after(), absl::UTCTimeZone()))),
                 "ask the operator for a new invitation (`tributary client invite NAME --replace`) and join again");
}

}  // namespace tributary::session
