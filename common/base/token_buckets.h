// How often each of many may do what costs something to remember: a bucket of tokens for every key, filled again by the
// clock. What an empty bucket refused is counted, so that it can be told later.
// Threads: every method is safe from any thread. Memory: one entry a key until its bucket is full again, so keys must
// come from a bounded set (identities, not what a peer says).
#ifndef TRIBUTARY_COMMON_BASE_TOKEN_BUCKETS_H_
#define TRIBUTARY_COMMON_BASE_TOKEN_BUCKETS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace tributary {

class TokenBuckets {
 public:
  struct Rate {
    int burst = 1;            // tokens of a full bucket
    absl::Duration one_each;  // how long one token takes to come back
  };
  // `clock` is borrowed and outlives this.
  TokenBuckets(const Rate& rate, const Clock* clock) : rate_(rate), clock_(*clock) {}

  // Takes a token. False: there is none, and the refusal is counted.
  bool Take(const std::string& key) TRB_EXCLUDES(mu_);
  // Refusals since the last call, by key.
  std::vector<std::pair<std::string, uint64_t>> TakeRefused() TRB_EXCLUDES(mu_);

 private:
  struct Bucket {
    absl::Duration full_at = -absl::InfiniteDuration();  // monotonic: when it will be full again
    uint64_t refused = 0;
  };
  const Rate rate_;
  const Clock& clock_;
  Mutex mu_;
  std::map<std::string, Bucket> buckets_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_TOKEN_BUCKETS_H_
