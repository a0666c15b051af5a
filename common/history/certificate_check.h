// What a certificate in a history must be, so that its signatures count.
// Threads: pure.
#ifndef TRIBUTARY_COMMON_HISTORY_CERTIFICATE_CHECK_H_
#define TRIBUTARY_COMMON_HISTORY_CERTIFICATE_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/crypto/certificate.h"
#include "common/crypto/certificate_issuer.h"

namespace tributary::history {

struct CertificateDuty {
  crypto::CertificateUse use;
  std::string uri;  // whom it names, as server/identity/ca.h spells it; the only name of its kind
  int64_t at_unix_ms = 0;
};

// `authorities`: any of these may have issued it. What is wrong, to be read after the certificate's name: "was not
// issued by the federation's authority". Empty when nothing is.
std::string FaultOf(const crypto::Certificate& certificate, const std::vector<crypto::Certificate>& authorities,
                    const CertificateDuty& duty);

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_CERTIFICATE_CHECK_H_
