#include "tests/support/manual_clock.h"

#include <algorithm>
#include <chrono>

#include "common/base/status.h"

namespace tributary::testing {

absl::Time ManualClock::Now() const {
  MutexLock lock(&mu_);
  return wall_;
}

absl::Duration ManualClock::Monotonic() const {
  MutexLock lock(&mu_);
  return monotonic_;
}

void ManualClock::WaitUntil(Mutex* mu, CondVar* cv, absl::Duration deadline) const {
  {
    MutexLock lock(&mu_);
    if (monotonic_ >= deadline) return;
    waiters_.push_back(cv);
    waiters_changed_.NotifyAll();
  }
  // Advance notifies without the waiter's mutex (taking it could deadlock), so a notification may fall between the
  // registration above and the wait; the real bound makes that a short delay instead of a hang.
  cv->WaitFor(mu, std::chrono::milliseconds(10));
  MutexLock lock(&mu_);
  waiters_.erase(std::find(waiters_.begin(), waiters_.end(), cv));
}

void ManualClock::Advance(absl::Duration d) {
  TRB_CHECK(d >= absl::ZeroDuration());
  MutexLock lock(&mu_);
  wall_ += d;
  monotonic_ += d;
  for (CondVar* cv : waiters_) cv->NotifyAll();
}

void ManualClock::SetWall(absl::Time t) {
  MutexLock lock(&mu_);
  wall_ = t;
}

void ManualClock::AwaitWaiters(size_t n) const {
  MutexLock lock(&mu_);
  while (waiters_.size() < n) waiters_changed_.Wait(&mu_);
}

}  // namespace tributary::testing
