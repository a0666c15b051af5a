// The bytes of one update coming up a client stream. Each chunk is written, hashed and checked on a worker before the
// next one is read. Life: keeps itself alive until gRPC is done with the stream and no worker uses it.
// Threads: one step at a time; only the cut may come at any moment, through the call's context.
#ifndef TRIBUTARY_SERVER_SERVICE_UPLOAD_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_UPLOAD_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "server/service/gate.h"
#include "server/service/update_intake.h"
#include "server/service/upload_slots.h"

namespace tributary::service {

class UploadStream : public grpc::ServerReadReactor<v1::UploadChunk>,
                     public std::enable_shared_from_this<UploadStream> {
 public:
  // Borrowed; they outlive the stream.
  struct Parts {
    Gate* gate = nullptr;
    UpdateIntake* intake = nullptr;
    UploadSlots* slots = nullptr;
    const Clock* clock = nullptr;
  };
  static UploadStream* Start(const Parts& parts, grpc::CallbackServerContext* context, std::string_view method,
                             v1::UploadUpdateResponse* response);

  void OnReadDone(bool ok) override;
  void OnDone() override;

 private:
  UploadStream(const Parts& parts, grpc::CallbackServerContext* context, std::string_view method,
               v1::UploadUpdateResponse* response)
      : parts_(parts), context_(*context), method_(method), response_(*response) {}
  void Enter();
  void TakeChunk(bool ok);
  absl::Status Receive();
  absl::Status BeginUpload();
  void End(const absl::Status& status);

  const Parts parts_;
  grpc::CallbackServerContext& context_;
  const std::string_view method_;
  v1::UploadUpdateResponse& response_;
  std::shared_ptr<UploadStream> self_;  // until OnDone
  StreamPass pass_;
  v1::UploadChunk chunk_;
  std::shared_ptr<Upload> upload_;  // from the first chunk on
  std::string upload_id_;           // of the first chunk
  uint64_t stream_ = 0;             // our number at the upload
  absl::Duration began_;
  bool reading_slot_ = false;
  bool answered_ = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_UPLOAD_STREAM_H_
