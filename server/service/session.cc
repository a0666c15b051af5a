#include "server/service/session.h"

#include <utility>

#include "common/rpc/status_codes.h"

namespace tributary::service {

std::shared_ptr<Session> Session::Create(Handler* handler, OrderedWorkers* workers,
                                         grpc::CallbackServerContext* context) {
  auto session = std::shared_ptr<Session>(new Session(handler, workers, context));
  session->self_ = session;
  return session;
}

bool Session::Admit(const StreamPass& pass) {
  MutexLock lock(&mu_);
  if (done_) return false;
  pass_ = pass;
  if (!ending_) StartRead(&incoming_);
  return true;
}

void Session::Welcome(v1::Welcome welcome) {
  MutexLock lock(&mu_);
  v1::CoordinatorMessage first;
  *first.mutable_welcome() = std::move(welcome);
  queue_.push_front(std::move(first));
  welcomed_ = true;
  PumpLocked();
}

void Session::Send(v1::CoordinatorMessage message) {
  MutexLock lock(&mu_);
  if (ending_) return;
  if (queue_.size() >= kMaxQueued) {
    ending_ = true;
    final_ = absl::ResourceExhaustedError("the client does not take its messages");
    queue_.clear();
  } else {
    queue_.push_back(std::move(message));
  }
  PumpLocked();
}

void Session::End(const absl::Status& status, bool flush) {
  MutexLock lock(&mu_);
  if (ending_) return;  // the first reason stands, and what was queued before it still goes out
  final_ = status;
  ending_ = true;
  if (!flush || !welcomed_) queue_.clear();
  PumpLocked();
}

void Session::Cancel() {
  MutexLock lock(&mu_);
  if (context_ != nullptr) context_->TryCancel();
}

void Session::PumpLocked() {
  if (writing_ || finished_) return;
  if (!queue_.empty() && welcomed_) {
    outgoing_ = std::move(queue_.front());
    queue_.pop_front();
    writing_ = true;
    StartWrite(&outgoing_);
  } else if (ending_) {
    finished_ = true;
    Finish(rpc::ToGrpc(final_));
  }
}

void Session::OnWriteDone(bool ok) {
  MutexLock lock(&mu_);
  writing_ = false;
  if (!ok) {
    queue_.clear();
    if (!ending_) final_ = absl::UnavailableError("the stream broke");
    ending_ = true;
  }
  PumpLocked();
}

void Session::OnReadDone(bool ok) {
  if (!ok || IsEnding()) {  // nothing is heard any more from a session that was told to end
    End(absl::OkStatus(), false);
  } else if (incoming_.has_heartbeat()) {
    handler_.OnHeartbeat(this);
    ReadNext();
  } else if (!workers_.Post(client_id(), [self = shared_from_this()] { self->HandleIncoming(); })) {
    End(absl::UnavailableError("shutting down"), false);
  }
}

bool Session::IsEnding() {
  MutexLock lock(&mu_);
  return ending_;
}

void Session::HandleIncoming() {
  if (IsEnding()) return;
  const absl::Status handled = handler_.OnMessage(shared_from_this(), incoming_);
  if (handled.ok()) {
    ReadNext();
  } else {
    End(handled, true);
  }
}

void Session::ReadNext() {
  MutexLock lock(&mu_);
  if (!ending_) StartRead(&incoming_);
}

void Session::OnCancel() { End(absl::CancelledError("the stream was cancelled"), false); }

void Session::OnDone() {
  {
    MutexLock lock(&mu_);
    context_ = nullptr;
    finished_ = ending_ = done_ = true;
  }
  // Behind whatever is still being handled; keeps the session until then.
  std::shared_ptr<Session> self = std::move(self_);
  Session* session = self.get();
  if (!workers_.Post(client_id(), [self] { self->handler_.OnEnd(self.get()); })) handler_.OnEnd(session);
}

}  // namespace tributary::service
