// An operator's initial parameters coming up a client stream, into a blob.
// Life: keeps itself alive until gRPC is done. Threads: one step at a time, on workers.
#ifndef TRIBUTARY_SERVER_SERVICE_PUT_MODEL_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_PUT_MODEL_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>
#include <string_view>

#include "common/storage/blob_store.h"
#include "server/service/gate.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::service {

class PutModelStream : public grpc::ServerReadReactor<v1::ModelPart> {
 public:
  using Audit = std::function<void(const identity::Principal& caller, const std::string& sha256, const absl::Status&)>;
  // `gate`, `blobs`, `context` and `response` are borrowed and outlive the stream.
  static PutModelStream* Start(Gate* gate, storage::BlobStore* blobs, grpc::CallbackServerContext* context,
                               v1::PutModelResponse* response, Audit audit);

  void OnReadDone(bool ok) override;
  void OnDone() override;

 private:
  PutModelStream(Gate* gate, storage::BlobStore* blobs, grpc::CallbackServerContext* context,
                 v1::PutModelResponse* response, Audit audit)
      : gate_(*gate),
        blobs_(*blobs),
        peer_(gate->Greet(*context)),
        context_(*context),
        response_(*response),
        audit_(std::move(audit)) {}
  void Post(void (PutModelStream::*step)());
  void Begin();
  void TakePart();
  void Store();
  absl::Status Append();
  void End(const absl::Status& status);

  Gate& gate_;
  storage::BlobStore& blobs_;
  const rpc::Peer peer_;
  grpc::CallbackServerContext& context_;
  v1::PutModelResponse& response_;
  const Audit audit_;
  StreamPass pass_;
  v1::ModelPart part_;
  v1::ModelHeader header_;
  std::string bytes_;
  bool started_ = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_PUT_MODEL_STREAM_H_
