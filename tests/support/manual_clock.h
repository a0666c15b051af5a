// A clock that stands still until a test moves it.
// Threads: every method is safe from any thread. Advance may be called with the mutex of a waiter held.
#ifndef TRIBUTARY_TESTS_SUPPORT_MANUAL_CLOCK_H_
#define TRIBUTARY_TESTS_SUPPORT_MANUAL_CLOCK_H_

#include <vector>

#include "common/base/clock.h"

namespace tributary::testing {

class ManualClock final : public Clock {
 public:
  // Wall time starts at `start`, Monotonic() at zero.
  explicit ManualClock(absl::Time start = absl::FromUnixSeconds(1'700'000'000)) : wall_(start) {}

  absl::Time Now() const override;
  absl::Duration Monotonic() const override;
  void WaitUntil(Mutex* mu, CondVar* cv, absl::Duration deadline) const override TRB_REQUIRES(mu);

  // Moves both readings and wakes every waiter, so that it looks at its deadline again. Not negative.
  void Advance(absl::Duration d);
  // Steps the wall time only, forth or back, as a person or NTP may.
  void SetWall(absl::Time t);
  // Blocks (in real time) until at least `n` threads are inside WaitUntil with a deadline not yet reached.
  void AwaitWaiters(size_t n) const;

 private:
  mutable Mutex mu_;
  mutable CondVar waiters_changed_;
  absl::Time wall_ TRB_GUARDED_BY(mu_);
  absl::Duration monotonic_ TRB_GUARDED_BY(mu_) = absl::ZeroDuration();
  mutable std::vector<CondVar*> waiters_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SUPPORT_MANUAL_CLOCK_H_
