// P-256 keys: ECDSA over SHA-256, signatures in DER.
// Threads: keys are immutable and may be used from any thread at once. Copies share the key material.
#ifndef TRIBUTARY_COMMON_CRYPTO_KEY_H_
#define TRIBUTARY_COMMON_CRYPTO_KEY_H_

#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace tributary::crypto {

struct KeyHandle;  // an OpenSSL key; only this folder looks inside

class PublicKey {
 public:
  explicit PublicKey(std::shared_ptr<const KeyHandle> handle) : handle_(std::move(handle)) {}

  // Whether `signature` (DER, at most 128 bytes) is of `message` by this key's owner.
  bool Verify(std::string_view message, std::string_view signature) const;
  // SubjectPublicKeyInfo in DER: equal keys have equal bytes.
  std::string ToDer() const;
  bool operator==(const PublicKey& other) const;
  const KeyHandle& handle() const { return *handle_; }

 private:
  std::shared_ptr<const KeyHandle> handle_;
};

class PrivateKey {
 public:
  static absl::StatusOr<PrivateKey> Generate();
  // PKCS#8 or SEC1, unencrypted, P-256 only. INVALID_ARGUMENT otherwise; the message never quotes the text.
  static absl::StatusOr<PrivateKey> FromPem(std::string_view pem);
  // PERMISSION_DENIED when others may read the file; NOT_FOUND; INVALID_ARGUMENT as FromPem.
  static absl::StatusOr<PrivateKey> Load(const std::string& path);

  // Durably, mode 0600.
  absl::Status Store(const std::string& path) const;
  // PKCS#8.
  std::string ToPem() const;
  // DER, at most 72 bytes; two signatures of the same message differ.
  absl::StatusOr<std::string> Sign(std::string_view message) const;
  PublicKey public_key() const { return PublicKey(handle_); }
  const KeyHandle& handle() const { return *handle_; }

 private:
  explicit PrivateKey(std::shared_ptr<const KeyHandle> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<const KeyHandle> handle_;
};

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_KEY_H_
