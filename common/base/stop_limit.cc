#include "common/base/stop_limit.h"

#include <cstdlib>
#include <utility>

#include "common/base/logging.h"

namespace tributary {

StopLimit::StopLimit(std::stop_token stop, const Clock* clock, std::function<void()> on_limit)
    : clock_(*clock), on_limit_(std::move(on_limit)), thread_([this, stop = std::move(stop)] { Run(stop); }) {}

StopLimit::~StopLimit() {
  {
    const MutexLock lock(&mu_);
    over_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void StopLimit::Run(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    const MutexLock lock(&mu_);
    changed_.NotifyAll();
  });
  bool late = false;
  {
    const MutexLock lock(&mu_);
    while (!over_ && !stop.stop_requested()) changed_.Wait(&mu_);
    const absl::Duration until = clock_.Monotonic() + kLimit;
    while (!over_ && clock_.Monotonic() < until) clock_.WaitUntil(&mu_, &changed_, until);
    late = !over_;
  }
  if (late) on_limit_();
}

void StopLimit::EndProcess() {
  Log(LogLevel::kWarning, "stopped_half_way", {{"after_seconds", absl::ToInt64Seconds(kLimit)}});
  std::_Exit(0);
}

}  // namespace tributary
