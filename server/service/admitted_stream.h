// What every server stream of ours begins and ends with: the gate's quotas and queue, admission, the check of the
// request; then messages one after another, and at the end the pass is given back. Which messages, the heirs know.
// Life: keeps itself alive until gRPC is done. Threads: Begin on a worker, Continue on one of gRPC's; OnCancel may come
// beside.
#ifndef TRIBUTARY_SERVER_SERVICE_ADMITTED_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_ADMITTED_STREAM_H_

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <string_view>

#include "common/rpc/peer.h"
#include "common/rpc/status_codes.h"
#include "server/service/gate.h"

namespace tributary::service {

template <class Message>
class AdmittedStream : public grpc::ServerWriteReactor<Message> {
 public:
  void OnWriteDone(bool ok) final {
    TakeOver();
    gate_.live().Written(pass_.token);
    if (ok) {
      Continue();
    } else {
      this->Finish(rpc::ToGrpc(absl::CancelledError("the stream broke")));
    }
  }
  void OnDone() final {
    TakeOver();
    if (pass_.token != 0) gate_.Leave(pass_);
    AtEnd();
    delete this;
  }

 protected:
  // `request` is gRPC's, which keeps it as long as the call.
  AdmittedStream(Gate* gate, grpc::CallbackServerContext* context, std::string_view method,
                 const google::protobuf::Message& request)
      : gate_(*gate), peer_(gate->Greet(*context)), context_(*context), method_(method), request_(request) {}

  // Once, when the heir is complete.
  void Enter() {
    const absl::Status begun = gate_.Begin(
        context_, method_, [this] { Begin(); }, request_.ByteSizeLong());
    if (!begun.ok()) this->Finish(rpc::ToGrpc(begun));
  }
  // On a worker, before anything of the request is used.
  absl::Status Admit() {
    TRB_ASSIGN_OR_RETURN(
        pass_, gate_.AdmitStream(peer_, method_, [this](const absl::Status&, bool) { context_.TryCancel(); }));
    return gate_.Check(pass_.caller, method_, request_);
  }
  // Of a message that stays until Continue.
  void Send(const Message* message) {
    gate_.live().Writing(pass_.token);
    HandOver();
    this->StartWrite(message);
  }
  void EndWith(const absl::Status& status) {
    if (!status.ok()) LogFailure(method_, status);
    HandOver();
    this->Finish(rpc::ToGrpc(status));
  }

  virtual void Begin() = 0;     // admit, and send the first message or end
  virtual void Continue() = 0;  // send the next one or end
  virtual void AtEnd() {}

  Gate& gate() { return gate_; }
  const identity::Principal& caller() const { return pass_.caller; }

 private:
  // gRPC orders what was done before a write, or the end, with what comes after it. Thread-sanitizer does not see into
  // gRPC, so the heir's state is handed from thread to thread where it can see it.
  void HandOver() { turn_.fetch_add(1, std::memory_order_release); }
  void TakeOver() { turn_.load(std::memory_order_acquire); }

  Gate& gate_;
  const rpc::Peer peer_;
  grpc::CallbackServerContext& context_;
  const std::string_view method_;
  const google::protobuf::Message& request_;
  StreamPass pass_;
  std::atomic<uint32_t> turn_ = 0;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_ADMITTED_STREAM_H_
