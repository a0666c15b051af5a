// Certificates made on the spot.
#ifndef TRIBUTARY_TESTS_COMMON_CRYPTO_SELF_MADE_H_
#define TRIBUTARY_TESTS_COMMON_CRYPTO_SELF_MADE_H_

#include "common/crypto/certificate_issuer.h"
#include "common/crypto/credential_directory.h"

namespace tributary::crypto {

// A new authority and its key, good from 2023 to 2033, standing for itself.
inline Credential SelfMade() {
  CertificateTerms terms;
  terms.use = CertificateUse::kAuthority;
  terms.common_name = "authority";
  terms.serial = "serial";
  terms.not_before = absl::FromUnixSeconds(1'700'000'000);
  terms.not_after = absl::FromUnixSeconds(2'000'000'000);
  PrivateKey key = *PrivateKey::Generate();
  const Certificate certificate = *SelfSign(key, terms);
  return {std::move(key), certificate, certificate};
}

}  // namespace tributary::crypto

#endif  // TRIBUTARY_TESTS_COMMON_CRYPTO_SELF_MADE_H_
