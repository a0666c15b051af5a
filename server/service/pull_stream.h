// A server stream whose messages are made one at a time, each on a worker once the one before it has gone out: for
// answers too long to hold (a proof) or that take their time (a replay). Nothing waits in memory but one message, and a
// peer that reads slowly holds no thread.
// Life: keeps itself alive until gRPC is done. Threads: one worker or one of gRPC's at a time; OnCancel may come
// beside.
#ifndef TRIBUTARY_SERVER_SERVICE_PULL_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_PULL_STREAM_H_

#include <atomic>
#include <functional>
#include <string_view>
#include <utility>

#include "server/service/admitted_stream.h"

namespace tributary::service {

template <class Message>
class PullStream final : public AdmittedStream<Message> {
 public:
  // Fills the next message; false: that was all. May take long; `cancelled` says that nobody waits for it any more.
  using Next = std::function<absl::StatusOr<bool>(Message* message, const std::function<bool()>& cancelled)>;
  // On a worker: what to send to this caller, or why not.
  using Open = std::function<absl::StatusOr<Next>(const identity::Principal& caller)>;

  static PullStream* Start(Gate* gate, grpc::CallbackServerContext* context, std::string_view method,
                           const google::protobuf::Message& request, Open open) {
    auto* stream = new PullStream(gate, context, method, request, std::move(open));
    stream->Enter();
    return stream;
  }

  void OnCancel() override { cancelled_ = true; }

 private:
  PullStream(Gate* gate, grpc::CallbackServerContext* context, std::string_view method,
             const google::protobuf::Message& request, Open open)
      : AdmittedStream<Message>(gate, context, method, request), open_(std::move(open)) {}

  void Begin() override {
    const absl::Status opened = OpenSource();
    if (!opened.ok()) return this->EndWith(opened);
    Step();
  }
  void Continue() override {
    if (!this->gate().workers().Post([this] { Step(); }))
      this->Finish(rpc::ToGrpc(absl::UnavailableError("the coordinator is shutting down")));
  }

  absl::Status OpenSource() {
    TRB_RETURN_IF_ERROR(this->Admit());
    TRB_ASSIGN_OR_RETURN(next_, open_(this->caller()));
    return absl::OkStatus();
  }

  void Step() {
    message_.Clear();
    const absl::StatusOr<bool> more = Make();
    if (more.ok() && *more) return this->Send(&message_);
    next_ = nullptr;  // what it holds is free before the caller learns that the call is over
    this->EndWith(more.status());
  }

  absl::StatusOr<bool> Make() {
    if (cancelled_) return absl::CancelledError("the caller has gone");
    return next_(&message_, [this] { return cancelled_.load(); });
  }

  const Open open_;
  Next next_;
  Message message_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_PULL_STREAM_H_
