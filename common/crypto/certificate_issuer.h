// Makes certificates. What each kind may be used for is decided here alone: basic constraints, key usage and extended
// key usage, with subject and authority key identifiers.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_ISSUER_H_
#define TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_ISSUER_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/crypto/key.h"

namespace tributary::crypto {

enum class CertificateUse {
  kAuthority,  // signs certificates, no further authorities below it
  kServer,     // TLS server
  kPeer,       // TLS client: a data holder or an operator
  kReceipt,    // signs receipts and records; good for no TLS
};

struct CertificateTerms {
  CertificateUse use = CertificateUse::kPeer;
  std::string common_name;  // at most 64 characters
  std::string serial;       // 1 to 20 raw bytes, unpredictable; the highest bit is cleared
  absl::Time not_before;    // whole seconds; the rest is cut off
  absl::Time not_after;
  std::vector<std::string> uris, dns_names, ip_addresses;  // subject alternative names
};

struct Issuer {
  Certificate certificate;
  PrivateKey key;
};

// A certificate that signs itself: the root of a federation.
absl::StatusOr<Certificate> SelfSign(const PrivateKey& key, const CertificateTerms& terms);
// INVALID_ARGUMENT when the terms cannot be spelled (an address that is none, an empty lifetime).
absl::StatusOr<Certificate> Issue(const Issuer& issuer, const PublicKey& subject, const CertificateTerms& terms);
// Whether the certificate is of this kind: its constraints and usages are exactly those that Issue gives it.
bool IsMadeFor(const Certificate& certificate, CertificateUse use);

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_ISSUER_H_
