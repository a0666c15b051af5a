// Whether a certificate is signed with its own key. For the text of a refusal: it says nothing about trust.
// Threads: a pure function.
#ifndef TRIBUTARY_COMMON_CRYPTO_SELF_SIGNED_H_
#define TRIBUTARY_COMMON_CRYPTO_SELF_SIGNED_H_

#include "common/crypto/certificate.h"

namespace tributary::crypto {

bool IsSelfSigned(const Certificate& certificate);

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_SELF_SIGNED_H_
