#include "client/session/certificate_renewal.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/logging.h"
#include "common/crypto/credential_directory.h"

namespace tributary::session {
namespace {

constexpr absl::Duration kPauseAfterFailure = absl::Minutes(1);
constexpr absl::Duration kReissueGrace = absl::Seconds(10);
constexpr absl::Duration kPauseWithWrongClock = absl::Hours(1);

std::string Text(absl::Time time) { return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone()); }

}  // namespace

CertificateRenewal::CertificateRenewal(const std::string& directory, const std::string& endpoint, const Clock* clock)
    : credentials_(crypto::CredentialDirectory(client::PkiDirectory(directory))),
      renewer_(directory, endpoint, *clock),
      clock_(*clock) {}

void CertificateRenewal::PauseFor(absl::Duration d) {
  const MutexLock lock(&mu_);
  not_before_ = clock_.Monotonic() + d;
}

bool CertificateRenewal::IsPausing() {
  const MutexLock lock(&mu_);
  return clock_.Monotonic() < not_before_;
}

void CertificateRenewal::ReissueAfter(absl::Duration d) {
  const MutexLock lock(&mu_);
  reissue_at_ = d == absl::InfiniteDuration() ? d : std::min(reissue_at_, clock_.Monotonic() + d);
}

absl::Duration CertificateRenewal::reissue_at() {
  const MutexLock lock(&mu_);
  return reissue_at_;
}

bool CertificateRenewal::Wanted(bool idle) {
  if (IsPausing()) return false;
  if (clock_.Monotonic() >= reissue_at() + (idle ? absl::ZeroDuration() : kReissueGrace)) return true;
  const auto credential = credentials_.Load();
  if (!credential.ok()) return false;
  const crypto::Certificate& c = credential->certificate;
  if (clock_.Now() < crypto::RenewalDue(c)) return false;
  return idle || clock_.Now() > c.not_after() - (c.not_after() - c.not_before()) / 10;
}

absl::StatusOr<bool> CertificateRenewal::Renew() {
  if (IsPausing()) return false;
  const bool reissue = clock_.Monotonic() >= reissue_at();
  absl::StatusOr<bool> renewed = reissue ? renewer_.Renew() : renewer_.RenewIfDue();
  if (!renewed.ok()) PauseFor(kPauseAfterFailure);
  if (!renewed.ok() || !*renewed) return renewed;
  ReissueAfter(absl::InfiniteDuration());  // the next welcome says whether there is still a need
  const auto credential = credentials_.Load();
  if (credential.ok() && clock_.Now() >= crypto::RenewalDue(credential->certificate)) {
    PauseFor(kPauseWithWrongClock);
    Log(LogLevel::kError, "clock_is_wrong", {{"why", ClockFault(credential->certificate, clock_.Now())}});
  }
  return renewed;
}

std::string ClockFault(const crypto::Certificate& certificate, absl::Time now) {
  if (now >= certificate.not_before() && now < certificate.not_after()) return "";
  return absl::StrCat("this machine's clock says ", Text(now), ", this client's certificate is valid from ",
                      Text(certificate.not_before()), " to ", Text(certificate.not_after()));
}

absl::Status CheckNotExpired(const crypto::Certificate& certificate, absl::Time now) {
  if (now < certificate.not_after()) return absl::OkStatus();
  return WithFix(
      absl::PermissionDeniedError(absl::StrCat("this client's certificate expired on ", Text(certificate.not_after()),
                                               ": ", ClockFault(certificate, now))),
      "set the clock of this machine if it is wrong; else ask the operator for a new invitation "
      "(`tributary client invite NAME --replace`) and join again");
}

}  // namespace tributary::session
