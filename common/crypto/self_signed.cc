#include "common/crypto/self_signed.h"

#include <openssl/x509.h>

#include "common/crypto/openssl_handles.h"

namespace tributary::crypto {

bool IsSelfSigned(const Certificate& certificate) {
  const X509* const x509 = certificate.handle().x509.get();
  const bool own = X509_verify(const_cast<X509*>(x509), X509_get0_pubkey(x509)) == 1;
  ForgetOpenSslErrors();
  return own;
}

}  // namespace tributary::crypto
