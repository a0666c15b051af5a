#include "common/history/certificate_check.h"

#include <algorithm>
#include <vector>

#include "absl/time/time.h"

namespace tributary::history {

std::string FaultOf(const crypto::Certificate& certificate, const std::vector<crypto::Certificate>& authorities,
                    const CertificateDuty& duty) {
  const bool issued = std::any_of(authorities.begin(), authorities.end(),
                                  [&](const crypto::Certificate& a) { return certificate.IssuedBy(a); });
  if (!issued) return "was not issued by the federation's authority";
  if (!crypto::IsMadeFor(certificate, duty.use)) return "was made for another use";
  if (certificate.uris() != std::vector<std::string>{duty.uri}) return "names somebody else";
  const absl::Time at = absl::FromUnixMillis(duty.at_unix_ms);
  if (at < certificate.not_before() || at > certificate.not_after()) return "was not valid at that time";
  return "";
}

}  // namespace tributary::history
