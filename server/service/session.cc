#include "server/service/session.h"

#include <utility>

namespace tributary::service {

std::shared_ptr<Session> Session::Create(Handler* handler, OrderedWorkers* workers,
                                         grpc::CallbackServerContext* context) {
  auto session = std::shared_ptr<Session>(new Session(handler, workers, context));
  session->self_ = session;
  return session;
}

bool Session::Admit(const StreamPass& pass) {
  MutexLock lock(&mu_);
  if (out_.done()) return false;
  pass_ = pass;
  if (!out_.ending()) StartRead(&incoming_);
  return true;
}

void Session::Welcome(v1::Welcome welcome) {
  v1::CoordinatorMessage first;
  *first.mutable_welcome() = std::move(welcome);
  MutexLock lock(&mu_);
  out_.Open(std::move(first));
}

void Session::Send(v1::CoordinatorMessage message) {
  MutexLock lock(&mu_);
  if (out_.Send(std::move(message))) return;
  out_.End(absl::ResourceExhaustedError("the client does not take its messages"), false);
}

void Session::End(const absl::Status& status, bool flush) {
  MutexLock lock(&mu_);
  out_.End(status, flush);
}

void Session::Cancel() {
  MutexLock lock(&mu_);
  out_.TryCancel();
}

void Session::OnWriteDone(bool ok) {
  MutexLock lock(&mu_);
  out_.OnWriteDone(ok);
}

void Session::OnReadDone(bool ok) {
  if (!ok || IsEnding()) {  // nothing is heard any more from a session that was told to end
    End(absl::OkStatus(), false);
  } else if (const absl::Status may = handler_.OnArrival(this); !may.ok()) {
    End(may, true);
  } else if (incoming_.has_heartbeat()) {
    handler_.OnHeartbeat(this);
    ReadNext();
  } else {
    busy_ = true;
    if (!workers_.Post(client_id(), [self = shared_from_this()] { self->HandleIncoming(); }))
      End(absl::UnavailableError("shutting down"), false);
  }
}

bool Session::IsEnding() {
  MutexLock lock(&mu_);
  return out_.ending();
}

void Session::HandleIncoming() {
  const bool ending = IsEnding();
  const absl::Status handled = ending ? absl::OkStatus() : handler_.OnMessage(shared_from_this(), incoming_);
  if (!ending && handled.ok()) handler_.OnHeartbeat(this);  // while it was handled nothing else could be heard
  busy_ = false;                                            // before the next read, which may set it
  if (ending) return;
  if (handled.ok()) {
    ReadNext();
  } else {
    End(handled, true);
  }
}

void Session::ReadNext() {
  MutexLock lock(&mu_);
  if (!out_.ending()) StartRead(&incoming_);
}

void Session::OnCancel() { End(absl::CancelledError("the stream was cancelled"), false); }

void Session::OnDone() {
  {
    MutexLock lock(&mu_);
    out_.OnDone();
  }
  // Behind whatever is still being handled; keeps the session until then.
  std::shared_ptr<Session> self = std::move(self_);
  Session* session = self.get();
  if (!workers_.Post(client_id(), [self] { self->handler_.OnEnd(self.get()); })) handler_.OnEnd(session);
}

}  // namespace tributary::service
