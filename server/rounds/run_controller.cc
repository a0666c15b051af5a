#include "server/rounds/run_controller.h"

#include <algorithm>
#include <utility>

#include "common/base/logging.h"
#include "common/base/status.h"

namespace tributary::rounds {

RunController::RunController(const RoundDriver::Environment& environment, std::shared_ptr<const RunSpec> spec)
    : clock_(*environment.clock), spec_(spec), driver_(environment, std::move(spec), &board_) {}

RunController::~RunController() { TRB_CHECK(!thread_.joinable()); }

void RunController::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void RunController::RequestShutdown() {
  board_.Interrupt();
  MutexLock lock(&mu_);
  shutdown_ = true;
  changed_.NotifyAll();
}

void RunController::Join() {
  if (thread_.joinable()) thread_.join();
}

void RunController::Wake() {
  MutexLock lock(&mu_);
  woken_ = true;
  changed_.NotifyAll();
}

void RunController::RunEnded() {
  board_.Interrupt();
  Wake();
}

void RunController::ProgressChanged() {
  if (watchers_.empty()) return;
  MutexLock lock(&mu_);
  progress_ = true;
  changed_.NotifyAll();
}

bool RunController::Watch(uint64_t token, Watchers::Callback callback) {
  if (!watchers_.Add(token, std::move(callback))) return false;
  MutexLock lock(&mu_);
  new_watcher_ = progress_ = true;
  published_at_ = -absl::InfiniteDuration();
  changed_.NotifyAll();
  return true;
}

void RunController::Loop() {
  bool ended = false;
  absl::Duration began, wait;
  do {
    // The wait counts from before the step: time that passes until the wait begins is part of it.
    began = clock_.Monotonic();
    ended = StepOnce(&wait);
    if (!ended) Publish();
  } while (!ended && Wait(began + wait));
  if (ended) {
    watchers_.Close(driver_.Event());
  } else {
    driver_.SaveElapsed();
  }
  finished_.store(true);
}

bool RunController::StepOnce(absl::Duration* wait) {
  const absl::StatusOr<RoundDriver::Next> next = driver_.Step();
  if (next.ok()) {
    *wait = next->wait;
    return next->ended;
  }
  if (!board_.interrupted()) {
    Log(LogLevel::kError, "run_step_failed", {{"run", spec_->id}, {"error", next.status().ToString()}});
  }
  driver_.Reload();
  *wait = kRetryAfter;
  return false;
}

bool RunController::Wait(absl::Duration deadline) {
  while (true) {
    const Cause cause = WaitForCause(deadline);
    if (cause != Cause::kProgress) return cause == Cause::kWork;
    Publish();
  }
}

RunController::Cause RunController::WaitForCause(absl::Duration deadline) {
  MutexLock lock(&mu_);
  while (true) {
    if (shutdown_) return Cause::kShutdown;
    const absl::Duration now = clock_.Monotonic();
    if (woken_ || now >= deadline) {
      woken_ = false;
      return Cause::kWork;
    }
    const absl::Duration progress_due = published_at_ + kProgressEvery;
    if (progress_ && now >= progress_due) return Cause::kProgress;
    clock_.WaitUntil(&mu_, &changed_, progress_ ? std::min(deadline, progress_due) : deadline);
  }
}

void RunController::Publish() {
  bool everyone = false;
  {
    MutexLock lock(&mu_);
    everyone = std::exchange(new_watcher_, false);
    progress_ = false;
    published_at_ = clock_.Monotonic();
  }
  if (watchers_.empty()) return;
  const v1::RunEvent event = driver_.Event();
  std::string bytes = event.SerializeAsString();
  if (bytes == last_event_ && !everyone) return;
  last_event_ = std::move(bytes);
  watchers_.Notify(event);
}

}  // namespace tributary::rounds
