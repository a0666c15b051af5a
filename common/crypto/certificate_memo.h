// The certificates read last, by the exact bytes that they were read from. OpenSSL 3.0 takes half a millisecond of
// locks and allocations for each, and a federation's programs read the same few with every call. Says nothing that
// reading again would not: the same bytes are the same certificate; whether it is still good is asked elsewhere, each
// time. Threads: safe. Memory: at most kRemembered certificates, about 4 MB.
#ifndef TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_MEMO_H_
#define TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_MEMO_H_

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/base/mutex.h"
#include "common/crypto/certificate.h"

namespace tributary::crypto {

class CertificateMemo {
 public:
  static constexpr size_t kRemembered = 512;

  std::optional<Certificate> Find(std::string_view pem) const;
  // The oldest goes when there is no room.
  void Keep(std::string_view pem, const Certificate& certificate);

 private:
  struct Entry {
    std::string pem;
    Certificate certificate;
  };
  mutable Mutex mu_;
  std::deque<Entry> entries_ TRB_GUARDED_BY(mu_);  // oldest first; the keys below are views into it
  std::unordered_map<std::string_view, const Entry*> by_pem_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_CERTIFICATE_MEMO_H_
