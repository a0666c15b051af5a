#include "common/base/token_buckets.h"

#include <algorithm>

namespace tributary {

bool TokenBuckets::Take(const std::string& key) {
  const absl::Duration now = clock_.Monotonic();
  MutexLock lock(&mu_);
  Bucket& bucket = buckets_[key];
  const absl::Duration then = std::max(bucket.full_at, now) + rate_.one_each;
  if (then - now > rate_.burst * rate_.one_each) {
    ++bucket.refused;
    return false;
  }
  bucket.full_at = then;
  return true;
}

std::vector<std::pair<std::string, uint64_t>> TokenBuckets::TakeRefused() {
  const absl::Duration now = clock_.Monotonic();
  std::vector<std::pair<std::string, uint64_t>> refused;
  MutexLock lock(&mu_);
  for (auto it = buckets_.begin(); it != buckets_.end();) {
    Bucket& bucket = it->second;
    if (bucket.refused > 0) refused.emplace_back(it->first, std::exchange(bucket.refused, 0));
    it = bucket.full_at <= now ? buckets_.erase(it) : std::next(it);
  }
  return refused;
}

}  // namespace tributary
