// How long to wait before the next attempt: exponential from `min` to `max`, with full jitter above `min`, so that a
// fleet that lost its coordinator does not come back at once.
// Threads: belongs to one thread.
#ifndef TRIBUTARY_CLIENT_SESSION_BACKOFF_H_
#define TRIBUTARY_CLIENT_SESSION_BACKOFF_H_

#include <cstdint>

#include "absl/time/time.h"
#include "common/base/random.h"

namespace tributary::session {

class Backoff {
 public:
  struct Range {
    absl::Duration min = absl::Milliseconds(250);
    absl::Duration max = absl::Seconds(30);
  };
  // `seed` spreads clients; nothing secret.
  Backoff(Range range, uint64_t seed) : range_(range), rng_(seed) {}

  // In [min, min(max, min * 2^n)] where n counts the calls since Reset, at least 1.
  absl::Duration Next();
  // After a success.
  void Reset() { failures_ = 0; }
  // What the coordinator asks for. Nonsense (min > max, or zero) is mended, not refused.
  void SetRange(Range range);

 private:
  Range range_;
  Rng rng_;
  int failures_ = 0;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_BACKOFF_H_
