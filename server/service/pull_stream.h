// A server stream whose messages are made one at a time, each on a worker once the one before it has gone out: for
// answers too long to hold (a proof) or that take their time (a replay). Nothing waits in memory but one message, and a
// peer that reads slowly holds no thread.
// Life: keeps itself alive until gRPC is done. Threads: one worker or one of gRPC's at a time; OnCancel may come
// beside.
#ifndef TRIBUTARY_SERVER_SERVICE_PULL_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_PULL_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <functional>
#include <string_view>
#include <utility>

#include "common/rpc/peer.h"
#include "common/rpc/status_codes.h"
#include "server/service/gate.h"

namespace tributary::service {

template <class Message>
class PullStream : public grpc::ServerWriteReactor<Message> {
 public:
  // Fills the next message; false: that was all. May take long; `cancelled` says that nobody waits for it any more.
  using Next = std::function<absl::StatusOr<bool>(Message* message, const std::function<bool()>& cancelled)>;
  // On a worker: what to send to this caller, or why not.
  using Open = std::function<absl::StatusOr<Next>(const identity::Principal& caller)>;

  static PullStream* Start(Gate* gate, grpc::CallbackServerContext* context, std::string_view method, Open open) {
    auto* stream = new PullStream(gate, context, method, std::move(open));
    stream->Post();
    return stream;
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      Post();
    } else {
      this->Finish(rpc::ToGrpc(absl::CancelledError("the stream broke")));
    }
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override {
    if (pass_.token != 0) gate_.Leave(pass_);
    delete this;
  }

 private:
  PullStream(Gate* gate, grpc::CallbackServerContext* context, std::string_view method, Open open)
      : gate_(*gate), peer_(gate->Greet(*context)), context_(*context), method_(method), open_(std::move(open)) {}

  void Post() {
    if (!gate_.workers().Post([this] { Step(); }))
      this->Finish(rpc::ToGrpc(absl::UnavailableError("the coordinator is shutting down")));
  }

  void Step() {
    message_.Clear();
    const absl::StatusOr<bool> more = Make();
    if (!more.ok()) LogFailure(method_, more.status());
    if (more.ok() && *more) {
      this->StartWrite(&message_);
    } else {
      next_ = nullptr;  // what it holds is free before the caller learns that the call is over
      this->Finish(rpc::ToGrpc(more.status()));
    }
  }

  absl::StatusOr<bool> Make() {
    if (next_ == nullptr) {
      TRB_ASSIGN_OR_RETURN(
          pass_, gate_.AdmitStream(peer_, method_, [this](const absl::Status&, bool) { context_.TryCancel(); }));
      TRB_ASSIGN_OR_RETURN(next_, open_(pass_.caller));
    }
    if (cancelled_) return absl::CancelledError("the caller has gone");
    return next_(&message_, [this] { return cancelled_.load(); });
  }

  Gate& gate_;
  const rpc::Peer peer_;
  grpc::CallbackServerContext& context_;
  const std::string_view method_;
  const Open open_;
  StreamPass pass_;
  Next next_;
  Message message_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_PULL_STREAM_H_
