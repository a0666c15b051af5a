// An X.509 certificate, read. Parsing says nothing about trust: IssuedBy checks the signature, TLS the chain, and the
// coordinator's identity service whether the certificate is still good.
// Threads: immutable; may be used from any thread. Copies are cheap.
#ifndef TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_H_
#define TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/crypto/key.h"

namespace tributary::crypto {

struct CertificateHandle;  // an OpenSSL certificate; only this folder looks inside

inline constexpr size_t kMaxCertificatePemBytes = 8192;

class Certificate {
 public:
  // The first certificate of `pem`, at most kMaxCertificatePemBytes, with a P-256 key. INVALID_ARGUMENT otherwise.
  static absl::StatusOr<Certificate> FromPem(std::string_view pem);
  // All certificates of `pem`, in their order; text around them is passed over. INVALID_ARGUMENT: more than `most`, or
  // one that FromPem does not take.
  static absl::StatusOr<std::vector<Certificate>> AllFromPem(std::string_view pem, size_t most);
  static absl::StatusOr<Certificate> FromDer(std::string_view der);
  static absl::StatusOr<Certificate> Load(const std::string& path);

  const std::string& pem() const;  // as this library spells it, whatever was read
  std::string ToDer() const;
  const std::string& sha256() const;       // of the DER, 64 hexadecimal characters: how the project names a certificate
  const std::string& serial() const;       // lower-case hexadecimal, without leading zeros
  const std::string& common_name() const;  // empty when there is none
  absl::Time not_before() const;
  absl::Time not_after() const;
  const std::vector<std::string>& uris() const;  // of the subject alternative name
  const std::vector<std::string>& dns_names() const;
  const std::vector<std::string>& ip_addresses() const;  // as text
  PublicKey public_key() const;
  bool Certifies(const PrivateKey& key) const;
  // Signed by `issuer`'s key, and `issuer` may sign certificates. Says nothing about time.
  bool IssuedBy(const Certificate& issuer) const;
  const CertificateHandle& handle() const { return *handle_; }

  explicit Certificate(std::shared_ptr<const CertificateHandle> handle) : handle_(std::move(handle)) {}

 private:
  std::shared_ptr<const CertificateHandle> handle_;
};

// When a certificate should be replaced: at two thirds of its life plus up to a tenth of it; how much depends on the
// certificate alone, so that a fleet enrolled together does not renew together and a restart does not draw again.
absl::Time RenewalDue(const Certificate& certificate);

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_H_
