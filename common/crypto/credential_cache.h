// What a credential directory holds, read from disk only when another version was installed since: to parse and check a
// key, a certificate and a CA takes OpenSSL milliseconds, and a client signs with each update.
// Threads: safe.
#ifndef TRIBUTARY_COMMON_CRYPTO_CREDENTIAL_CACHE_H_
#define TRIBUTARY_COMMON_CRYPTO_CREDENTIAL_CACHE_H_

#include <optional>
#include <string>

#include "common/base/mutex.h"
#include "common/crypto/credential_directory.h"

namespace tributary::crypto {

class CredentialCache {
 public:
  explicit CredentialCache(CredentialDirectory directory) : directory_(std::move(directory)) {}

  // Errors as CredentialDirectory::Load; they are not kept.
  absl::StatusOr<Credential> Load();

 private:
  const CredentialDirectory directory_;
  Mutex mu_;
  std::string version_ TRB_GUARDED_BY(mu_);
  std::optional<Credential> credential_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_CREDENTIAL_CACHE_H_
