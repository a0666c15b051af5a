#include "common/rpc/clock_steps.h"

#include <grpc/support/sync.h>

#include <utility>

#include "common/base/logging.h"

// Of libgrpc (src/core/lib/iomgr/timer.h). Weak: another version may do without, and is then not woken.
__attribute__((weak)) void grpc_kick_poller();

namespace tributary::rpc {
namespace {

constexpr absl::Duration kDrift = absl::Seconds(1);
constexpr absl::Duration kLookEvery = absl::Seconds(1);

}  // namespace

ClockSteps::ClockSteps(const Clock* clock, std::function<void()> wake)
    : clock_(*clock), wake_(std::move(wake)), beginning_(Beginning()) {}

absl::Time ClockSteps::Beginning() const { return clock_.Now() - clock_.Monotonic(); }

absl::Duration ClockSteps::Look() {
  const absl::Duration step = Beginning() - beginning_;
  beginning_ += step;
  if (absl::AbsDuration(step) < kDrift) return absl::ZeroDuration();
  Log(LogLevel::kWarning, "wall_clock_was_set",
      {{"by_seconds", absl::ToInt64Seconds(step)},
       {"now", absl::FormatTime(absl::RFC3339_sec, clock_.Now(), absl::UTCTimeZone())}});
  wake_();
  return step;
}

// Who waits for a gpr_event (the watcher of certificate files, for its end) waits on one of a few condition variables
// that are shared by address: events next to each other reach them all. Whoever is woken without a reason waits again,
// for what is left by the monotonic clock.
void ClockSteps::WakeTimers() {
  if (grpc_kick_poller != nullptr) grpc_kick_poller();
  static gpr_event events[128];
  for (gpr_event& event : events) {
    gpr_event_init(&event);
    gpr_event_set(&event, &event);
  }
}

ClockWatch::ClockWatch(const Clock* clock) : clock_(*clock), steps_(clock), thread_([this] { Run(); }) {}

ClockWatch::~ClockWatch() {
  {
    const MutexLock lock(&mu_);
    stopping_ = true;
  }
  stop_.NotifyAll();
  thread_.join();
}

void ClockWatch::Run() {
  const MutexLock lock(&mu_);
  while (!stopping_) {
    steps_.Look();
    clock_.WaitUntil(&mu_, &stop_, clock_.Monotonic() + kLookEvery);
  }
}

}  // namespace tributary::rpc
