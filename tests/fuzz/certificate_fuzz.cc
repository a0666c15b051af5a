// Certificates, certificate requests and keys, as PEM and DER.
#include "common/crypto/certificate.h"
#include "common/crypto/certificate_issuer.h"
#include "common/crypto/certificate_request.h"
#include "common/crypto/key.h"
#include "tests/fuzz/fuzz.h"

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const auto pem = crypto::Certificate::FromPem(input);
  const auto certificate = pem.ok() ? pem : crypto::Certificate::FromDer(input);
  if (certificate.ok()) {
    (void)crypto::IsMadeFor(*certificate, crypto::CertificateUse::kPeer);
    (void)certificate->IssuedBy(*certificate);
    (void)certificate->public_key().Verify("message", input.substr(0, 128));
    const auto again = crypto::Certificate::FromPem(certificate->pem());
    fuzz::Require(again.ok() && again->sha256() == certificate->sha256());
  }
  (void)crypto::ParseRequest(input);
  (void)crypto::PrivateKey::FromPem(input);
}
