// Sends one immutable buffer down a server stream in chunks: a model to a client, an exported model to an operator.
// Life: keeps itself alive until gRPC is done. The first step (admission, finding the bytes) runs on a worker; chunks
// then follow each other on gRPC's threads, one copy of at most 256 KiB at a time.
#ifndef TRIBUTARY_SERVER_SERVICE_CHUNK_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_CHUNK_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "common/rpc/limits.h"
#include "common/rpc/peer.h"
#include "common/rpc/status_codes.h"
#include "server/service/gate.h"
#include "server/service/model_snapshots.h"

namespace tributary::service {

template <class Message>
class ChunkStream : public grpc::ServerWriteReactor<Message> {
 public:
  struct Source {
    ModelSnapshots::Snapshot bytes;
    uint64_t offset = 0;  // of the first chunk
    // Fills a message with the bytes at `offset`.
    std::function<void(uint64_t offset, std::string_view data, Message* message)> fill;
    std::function<void(uint64_t sent)> on_end;  // on a worker; may be empty
    std::shared_ptr<void> hold = nullptr;       // kept until the stream is over
  };
  // On a worker: what to send to this caller, or why not.
  using Open = std::function<absl::StatusOr<Source>(const identity::Principal& caller)>;

  static ChunkStream* Start(Gate* gate, grpc::CallbackServerContext* context, std::string_view method, Open open) {
    auto* stream = new ChunkStream(gate, context, method, std::move(open));
    const absl::Status begun = gate->Begin(*context, method, [stream] { stream->Begin(); });
    if (!begun.ok()) stream->Finish(rpc::ToGrpc(begun));
    return stream;
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      SendNext();
    } else {
      this->Finish(rpc::ToGrpc(absl::CancelledError("the stream broke")));
    }
  }

  void OnDone() override {
    if (pass_.token != 0) gate_.Leave(pass_);
    const uint64_t sent = next_ - source_.offset;
    if (source_.on_end) gate_.workers().Post([end = source_.on_end, sent] { end(sent); });
    delete this;
  }

 private:
  ChunkStream(Gate* gate, grpc::CallbackServerContext* context, std::string_view method, Open open)
      : gate_(*gate), peer_(gate->Greet(*context)), context_(*context), method_(method), open_(std::move(open)) {}

  void Begin() {
    const absl::Status ready = Prepare();
    if (!ready.ok()) {
      LogFailure(method_, ready);
      this->Finish(rpc::ToGrpc(ready));
    } else {
      SendNext();
    }
  }

  absl::Status Prepare() {
    TRB_ASSIGN_OR_RETURN(
        pass_, gate_.AdmitStream(peer_, method_, [this](const absl::Status&, bool) { context_.TryCancel(); }));
    TRB_ASSIGN_OR_RETURN(source_, open_(pass_.caller));
    next_ = source_.offset;
    if (next_ > source_.bytes->size()) return absl::OutOfRangeError("the offset is beyond the end");
    return absl::OkStatus();
  }

  void SendNext() {
    const std::string_view rest = std::string_view(*source_.bytes).substr(next_);
    if (rest.empty() && sent_any_) return this->Finish(grpc::Status::OK);
    sent_any_ = true;  // an empty remainder is one message too: it tells the total
    message_.Clear();
    const std::string_view data = rest.substr(0, std::min<size_t>(rest.size(), rpc::kChunkBytes));
    source_.fill(next_, data, &message_);
    next_ += data.size();
    this->StartWrite(&message_);
  }

  Gate& gate_;
  const rpc::Peer peer_;
  grpc::CallbackServerContext& context_;
  const std::string_view method_;
  const Open open_;
  StreamPass pass_;
  Source source_;
  Message message_;
  uint64_t next_ = 0;
  bool sent_any_ = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_CHUNK_STREAM_H_
