// Owners of OpenSSL's objects. For the .cc files of this folder only.
#ifndef TRIBUTARY_COMMON_CRYPTO_OPENSSL_HANDLES_H_
#define TRIBUTARY_COMMON_CRYPTO_OPENSSL_HANDLES_H_

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"

namespace tributary::crypto {

template <auto free_function>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using PkeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using MdContextPtr = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;
using IntegerPtr = std::unique_ptr<ASN1_INTEGER, Freer<ASN1_INTEGER_free>>;
using BigNumberPtr = std::unique_ptr<BIGNUM, Freer<BN_free>>;

struct KeyHandle {
  PkeyPtr key;
};

struct CertificateHandle {
  X509Ptr x509;
  std::string pem, sha256, serial, common_name;
  absl::Time not_before, not_after;
  std::vector<std::string> uris, dns_names, ip_addresses;
};

// INTERNAL with what OpenSSL says; empties its queue of errors.
absl::Status OpenSslError(std::string_view what);
// The same queue, thrown away: the failure is reported in our words.
inline void ForgetOpenSslErrors() { ERR_clear_error(); }

// A memory BIO that reads `text`, which must outlive it.
BioPtr ReadingBio(std::string_view text);
BioPtr WritingBio();
std::string Contents(BIO* bio);

bool IsP256(const EVP_PKEY* key);
// Never asks for a pass phrase: an encrypted key is an error.
int NoPassPhrase(char*, int, int, void*);

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_OPENSSL_HANDLES_H_
