// The one source of time (style H12). Wall time decides nothing but certificates, invitations and what is printed;
// durations and deadlines use the monotonic reading.
// Threads: every method is safe from any thread.
#ifndef TRIBUTARY_COMMON_BASE_CLOCK_H_
#define TRIBUTARY_COMMON_BASE_CLOCK_H_

#include <cstdint>

#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace tributary {

class Clock {
 public:
  virtual ~Clock() = default;

  // Wall time.
  virtual absl::Time Now() const = 0;
  // Time since some fixed instant of this process; never steps back.
  virtual absl::Duration Monotonic() const = 0;
  // Waits on `cv` with `mu` held until notified or until Monotonic() >= deadline (InfiniteDuration: no deadline).
  // May wake early; the caller loops on its own condition.
  virtual void WaitUntil(Mutex* mu, CondVar* cv, absl::Duration deadline) const TRB_REQUIRES(mu) = 0;

  int64_t NowUnixMillis() const { return absl::ToUnixMillis(Now()); }

  // The machine's clock; lives for the whole process.
  static const Clock& System();
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_CLOCK_H_
