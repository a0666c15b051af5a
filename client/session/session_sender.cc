#include "client/session/session_sender.h"

#include <algorithm>
#include <utility>

namespace tributary::session {
namespace {

constexpr absl::Duration kShortestInterval = absl::Milliseconds(100);

}  // namespace

SessionSender::SessionSender(CoordinatorLink::Session* session, const Clock* clock, absl::Duration heartbeat_interval,
                             std::function<void()> on_heartbeat)
    : session_(*session),
      clock_(*clock),
      interval_(std::max(heartbeat_interval, kShortestInterval)),
      on_heartbeat_(std::move(on_heartbeat)),
      next_heartbeat_(clock->Monotonic() + interval_),
      thread_([this] { Run(); }) {}

SessionSender::~SessionSender() { End(); }

void SessionSender::End() {
  Stop();
  if (thread_.joinable()) thread_.join();
}

void SessionSender::Push(v1::ClientMessage message) {
  const MutexLock lock(&mu_);
  if (stopped_) return;
  if (queue_.size() < kMostQueued) {
    queue_.push_back(std::move(message));
  } else {
    stopped_ = true;
    queue_.clear();
    session_.Cancel();  // under the lock, which End takes: the session is still there
  }
  changed_.NotifyAll();
}

void SessionSender::Stop() {
  const MutexLock lock(&mu_);
  stopped_ = true;
  changed_.NotifyAll();
}

bool SessionSender::WaitForNext(v1::ClientMessage* next) {
  const MutexLock lock(&mu_);
  for (;;) {
    if (stopped_) return false;
    if (!queue_.empty()) {
      *next = std::move(queue_.front());
      queue_.pop_front();
      return true;
    }
    if (clock_.Monotonic() >= next_heartbeat_) {
      next->mutable_heartbeat()->set_sequence(++sequence_);
      next_heartbeat_ = clock_.Monotonic() + interval_;
      return true;
    }
    clock_.WaitUntil(&mu_, &changed_, next_heartbeat_);
  }
}

void SessionSender::Run() {
  for (;;) {
    v1::ClientMessage next;
    if (!WaitForNext(&next)) return;
    if (!session_.Write(next)) return Stop();
    if (next.has_heartbeat() && on_heartbeat_) on_heartbeat_();
  }
}

}  // namespace tributary::session
