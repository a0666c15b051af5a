// PKCS#10 requests: what a client sends so that it gets a certificate for a key that never leaves it. Names and
// extensions in a request are ignored by design; only its key counts.
// Threads: pure functions; CertificateRequest is an immutable value.
#ifndef TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_REQUEST_H_
#define TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_REQUEST_H_

#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/crypto/key.h"

namespace tributary::crypto {

inline constexpr size_t kMaxRequestPemBytes = 4096;

struct CertificateRequest {
  PublicKey public_key;
  std::string sha256;  // of the DER: two requests are the same when these are equal
};

// A request for `key`, with no names. Keep it for retries: another one for the same key has another signature.
absl::StatusOr<std::string> MakeRequestPem(const PrivateKey& key);

// INVALID_ARGUMENT: too long, not a request, a key that is not P-256, or not signed by that key.
absl::StatusOr<CertificateRequest> ParseRequest(std::string_view pem);

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_REQUEST_H_
