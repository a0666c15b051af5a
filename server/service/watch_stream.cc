#include "server/service/watch_stream.h"

#include <utility>

#include "common/rpc/peer.h"

namespace tributary::service {
namespace {

bool HasEnded(const v1::Run& run) { return run.state() != "running" && run.state() != "stalled"; }

}  // namespace

WatchStream* WatchStream::Start(const Parts& parts, grpc::CallbackServerContext* context, std::string_view method,
                                const v1::WatchRunRequest& request) {
  auto stream = std::shared_ptr<WatchStream>(new WatchStream(parts, context, method, request));
  stream->self_ = stream;
  WatchStream* raw = stream.get();
  // The peer is read now: when the worker comes to it, the stream may be over and its context gone.
  const absl::Status posted = parts.gate->Begin(*context, method, [stream, peer = parts.gate->Greet(*context)] {
    const absl::Status begun = stream->Begin(peer);
    if (begun.ok()) return;
    LogFailure(stream->method_, begun);
    stream->End(begun);
  });
  if (!posted.ok()) raw->End(posted);
  return raw;
}

absl::Status WatchStream::Begin(const rpc::Peer& peer) {
  const std::weak_ptr<WatchStream> weak = weak_from_this();
  TRB_ASSIGN_OR_RETURN(StreamPass pass,
                       parts_.gate->AdmitStream(peer, method_, [weak](const absl::Status& why, bool again) {
                         const auto live = weak.lock();
                         if (live == nullptr) return;
                         live->End(why);
                         if (again) live->Cancel();
                       }));
  bool late = false;
  {
    MutexLock lock(&mu_);
    late = out_.done();
    if (!late) pass_ = pass;
  }
  if (late) {
    // Not under our lock: a cut holds the registry's lock and then takes ours.
    parts_.gate->Leave(pass);
    return absl::OkStatus();
  }
  TRB_RETURN_IF_ERROR(parts_.gate->Check(pass.caller, method_, request_));
  TRB_ASSIGN_OR_RETURN(const std::string id, parts_.store->ResolveRun(request_.run()));
  TRB_ASSIGN_OR_RETURN(const uint64_t token, parts_.runs->Watch(id, [weak](const v1::RunEvent& event) {
    const auto live = weak.lock();
    return live != nullptr && live->Take(event);
  }));
  bool over = false;
  {
    MutexLock lock(&mu_);
    over = out_.done();
    watch_ = token;
  }
  if (over) parts_.runs->Unwatch(token);
  return absl::OkStatus();
}

bool WatchStream::Take(const v1::RunEvent& event) {
  MutexLock lock(&mu_);
  // The run's newest state replaces an older one of the same round.
  out_.SendNewest(event, [&](const v1::RunEvent& e) { return e.round().round() == event.round().round(); });
  if (HasEnded(event.run())) out_.End(absl::OkStatus(), true);
  return !out_.ending();
}

void WatchStream::End(const absl::Status& status) {
  MutexLock lock(&mu_);
  out_.End(status, false);
}

void WatchStream::Cancel() {
  MutexLock lock(&mu_);
  out_.TryCancel();
}

void WatchStream::OnWriteDone(bool ok) {
  MutexLock lock(&mu_);
  out_.OnWriteDone(ok);
}

void WatchStream::OnCancel() { End(absl::CancelledError("the stream was cancelled")); }

void WatchStream::OnDone() {
  uint64_t watch = 0;
  StreamPass pass;
  {
    MutexLock lock(&mu_);
    out_.OnDone();
    watch = std::exchange(watch_, 0);
    pass = std::exchange(pass_, {});
  }
  // Not under our lock: a cut holds the registry's lock and then takes ours.
  if (pass.token != 0) parts_.gate->Leave(pass);
  // Unwatch may wait for a callback that is running.
  rounds::RunManager* runs = parts_.runs;
  if (watch != 0) parts_.gate->workers().Post([runs, watch] { runs->Unwatch(watch); });
  self_.reset();
}

}  // namespace tributary::service
