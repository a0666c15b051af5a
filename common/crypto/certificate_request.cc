#include "common/crypto/certificate_request.h"

#include <openssl/pem.h>

#include "common/crypto/digest.h"
#include "common/crypto/openssl_handles.h"

namespace tributary::crypto {
namespace {

std::string DerOf(X509_REQ* request) {
  unsigned char* data = nullptr;
  const int length = i2d_X509_REQ(request, &data);
  TRB_CHECK(length > 0);
  std::string out(reinterpret_cast<const char*>(data), static_cast<size_t>(length));
  OPENSSL_free(data);
  return out;
}

}  // namespace

absl::StatusOr<std::string> MakeRequestPem(const PrivateKey& key) {
  const RequestPtr request(X509_REQ_new());
  EVP_PKEY* const pkey = key.handle().key.get();
  if (request == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), pkey) != 1 || X509_REQ_sign(request.get(), pkey, EVP_sha256()) <= 0)
    return OpenSslError("make a certificate request");
  const BioPtr bio = WritingBio();
  if (PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) return OpenSslError("write a certificate request");
  return Contents(bio.get());
}

absl::StatusOr<CertificateRequest> ParseRequest(std::string_view pem) {
  if (pem.size() > kMaxRequestPemBytes) return absl::InvalidArgumentError("the certificate request is too long");
  const BioPtr bio = ReadingBio(pem);
  const RequestPtr request(bio == nullptr ? nullptr : PEM_read_bio_X509_REQ(bio.get(), nullptr, NoPassPhrase, nullptr));
  ForgetOpenSslErrors();
  if (request == nullptr) return absl::InvalidArgumentError("this is no certificate request in PEM");
  EVP_PKEY* const pkey = X509_REQ_get0_pubkey(request.get());
  if (!IsP256(pkey)) return absl::InvalidArgumentError("the certificate request's key is not P-256");
  const bool own = X509_REQ_verify(request.get(), pkey) == 1;
  ForgetOpenSslErrors();
  if (!own) return absl::InvalidArgumentError("the certificate request is not signed by its own key");
  EVP_PKEY_up_ref(pkey);
  return CertificateRequest{PublicKey(std::make_shared<const KeyHandle>(KeyHandle{PkeyPtr(pkey)})),
                            Sha256Hex(DerOf(request.get()))};
}

}  // namespace tributary::crypto
