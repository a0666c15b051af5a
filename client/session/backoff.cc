#include "client/session/backoff.h"

#include <algorithm>

namespace tributary::session {
namespace {

constexpr int kMostDoublings = 30;

}  // namespace

absl::Duration Backoff::Next() {
  failures_ = std::min(failures_ + 1, kMostDoublings);
  const absl::Duration ceiling = std::min(range_.max, range_.min * (int64_t{1} << failures_));
  return range_.min + (ceiling - range_.min) * rng_.UniformDouble();
}

void Backoff::SetRange(Range range) {
  range_.min = std::max(range.min, absl::Milliseconds(1));
  range_.max = std::max(range.max, range_.min);
}

}  // namespace tributary::session
