#include "common/base/clock.h"

#include <algorithm>
#include <chrono>

#include "absl/time/clock.h"

namespace tributary {
namespace {

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }

  absl::Duration Monotonic() const override {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }

  void WaitUntil(Mutex* mu, CondVar* cv, absl::Duration deadline) const override TRB_REQUIRES(mu) {
    // Waiting at most a minute at a time keeps an infinite deadline within what the library's arithmetic can hold.
    const absl::Duration left = std::min(deadline - Monotonic(), absl::Minutes(1));
    if (left <= absl::ZeroDuration()) return;
    cv->WaitFor(mu, absl::ToChronoNanoseconds(left));
  }
};

}  // namespace

const Clock& Clock::System() {
  static const SystemClock clock;
  return clock;
}

}  // namespace tributary
