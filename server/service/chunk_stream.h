// Sends one immutable buffer down a server stream in chunks: a model to a client, an exported model to an operator.
// Life: keeps itself alive until gRPC is done. The first step (admission, finding the bytes) runs on a worker; chunks
// then follow each other on gRPC's threads, one copy of at most 256 KiB at a time.
#ifndef TRIBUTARY_SERVER_SERVICE_CHUNK_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_CHUNK_STREAM_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "common/rpc/limits.h"
#include "server/service/admitted_stream.h"
#include "server/service/model_snapshots.h"

namespace tributary::service {

template <class Message>
class ChunkStream final : public AdmittedStream<Message> {
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

  static ChunkStream* Start(Gate* gate, grpc::CallbackServerContext* context, std::string_view method,
                            const google::protobuf::Message& request, Open open) {
    auto* stream = new ChunkStream(gate, context, method, request, std::move(open));
    stream->Enter();
    return stream;
  }

 private:
  ChunkStream(Gate* gate, grpc::CallbackServerContext* context, std::string_view method,
              const google::protobuf::Message& request, Open open)
      : AdmittedStream<Message>(gate, context, method, request), open_(std::move(open)) {}

  void Begin() override {
    const absl::Status ready = Prepare();
    if (!ready.ok()) return this->EndWith(ready);
    Continue();
  }

  absl::Status Prepare() {
    TRB_RETURN_IF_ERROR(this->Admit());
    TRB_ASSIGN_OR_RETURN(source_, open_(this->caller()));
    next_ = source_.offset;
    if (next_ > source_.bytes->size()) return absl::OutOfRangeError("the offset is beyond the end");
    return absl::OkStatus();
  }

  void Continue() override {
    const std::string_view rest = std::string_view(*source_.bytes).substr(next_);
    if (rest.empty() && sent_any_) return this->EndWith(absl::OkStatus());
    sent_any_ = true;  // an empty remainder is one message too: it tells the total
    message_.Clear();
    const std::string_view data = rest.substr(0, std::min<size_t>(rest.size(), rpc::kChunkBytes));
    source_.fill(next_, data, &message_);
    next_ += data.size();
    this->Send(&message_);
  }

  void AtEnd() override {
    if (!source_.on_end) return;
    const uint64_t sent = next_ - source_.offset;
    this->gate().workers().Post([end = source_.on_end, sent] { end(sent); });
  }

  const Open open_;
  Source source_;
  Message message_;
  uint64_t next_ = 0;
  bool sent_any_ = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_CHUNK_STREAM_H_
