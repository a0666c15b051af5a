// Which authorities somebody believes, and how one of them passes its word on to the next (RFC 4210, section 4.4).
//
//   trusted   certificates that they issue are good for connections; the first one issues now
//   past      retired: good for nothing new, but what they issued is still checked against them (receipts of a run that
//             began under them, histories)
//
// A cross certificate carries the name and key of one authority and is signed by another: "this key is of our
// federation too". It is a signed statement and no link of an X.509 path: authorities have a path length of 0.
// Threads: TrustList is an immutable value, functions are pure; CurrentTrust locks itself.
#ifndef TRIBUTARY_COMMON_CRYPTO_TRUST_LIST_H_
#define TRIBUTARY_COMMON_CRYPTO_TRUST_LIST_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/crypto/certificate.h"

namespace tributary::crypto {

// Of each kind that one list may hold. Two are trusted at a time; the past grows by one a rotation.
inline constexpr size_t kMaxAuthorities = 16;

class TrustList {
 public:
  // Implicit: one authority is a list, and most federations never have more.
  TrustList(Certificate only) : trusted_{std::move(only)} {}  // NOLINT(google-explicit-constructor)
  // `trusted` is not empty.
  TrustList(std::vector<Certificate> trusted, std::vector<Certificate> past);
  // As TrustedPem and PastPem wrote them. INVALID_ARGUMENT: nothing is trusted, too many, or one cannot be read.
  static absl::StatusOr<TrustList> FromPem(std::string_view trusted, std::string_view past);

  const Certificate& active() const { return trusted_.front(); }
  const std::vector<Certificate>& trusted() const { return trusted_; }
  const std::vector<Certificate>& past() const { return past_; }

  // The trusted authority that signed it; null when none did. Says nothing about time.
  const Certificate* IssuerOf(const Certificate& certificate) const;
  // Signed by an authority that is no longer trusted.
  bool IsOfThePast(const Certificate& certificate) const;
  bool Trusts(std::string_view authority_sha256) const;
  std::vector<std::string> TrustedDigests() const;

  std::string TrustedPem() const;
  std::string PastPem() const;  // empty when there is no past
  // The same authorities in the same places.
  bool operator==(const TrustList& other) const;

 private:
  std::vector<Certificate> trusted_, past_;
};

// Whether `cross` is the word of `by` for a key of the same federation. PERMISSION_DENIED, saying what is wrong.
absl::Status CheckCross(const Certificate& cross, const Certificate& by);
// And whether that key is the one of `authority`, which signs itself, with the same name.
absl::Status CheckCross(const Certificate& cross, const Certificate& by, const Certificate& authority);

// What a coordinator says of one authority.
struct AuthorityNews {
  //   staged -> active -> retiring -> retired
  enum class State { kStaged, kActive, kRetiring, kRetired };
  Certificate certificate;
  State state = State::kActive;
  std::vector<Certificate> cross;  // its key, certified by other authorities
};

// What to believe after `news`. `own` is the certificate of whoever asks: its issuer is never given up.
//   A new authority is added when a cross certificate in date, by one that is trusted already, vouches for it;
//   otherwise PERMISSION_DENIED, and nothing changes. So the coordinator's key alone can bring in nobody. A retired one
//   goes to the past when a younger one is trusted: so the key of an old authority cannot take back the step to a new
//   one. The active one comes first. What the news does not name stays.
absl::StatusOr<TrustList> Adopt(const TrustList& before, const Certificate& own, const std::vector<AuthorityNews>& news,
                                absl::Time now);

// The list that a running program goes by, replaced as a whole.
class CurrentTrust {
 public:
  explicit CurrentTrust(TrustList list) : list_(std::make_shared<const TrustList>(std::move(list))) {}
  std::shared_ptr<const TrustList> Get() const TRB_EXCLUDES(mu_);
  void Set(TrustList list) TRB_EXCLUDES(mu_);

 private:
  mutable Mutex mu_;
  std::shared_ptr<const TrustList> list_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_TRUST_LIST_H_
