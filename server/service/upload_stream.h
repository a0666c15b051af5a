// The bytes of one update coming up a client stream. Each chunk is written, hashed and checked on a worker before the
// next one is read. A peer that is silent for too long loses its slot (RESOURCE_EXHAUSTED: announce it again).
// Life: keeps itself alive until gRPC is done with the stream and no worker uses it.
// Threads: one step at a time, and Turn says whose it is; only the cut may come at any moment, through the call's
// context.
#ifndef TRIBUTARY_SERVER_SERVICE_UPLOAD_STREAM_H_
#define TRIBUTARY_SERVER_SERVICE_UPLOAD_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "server/service/client_quotas.h"
#include "server/service/gate.h"
#include "server/service/update_intake.h"
#include "server/service/upload_pace.h"
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
    ClientQuotas* quotas = nullptr;
    const Clock* clock = nullptr;
    absl::Duration silence;  // the longest that a slot is kept for a peer that brings nothing
  };
  static UploadStream* Start(const Parts& parts, grpc::CallbackServerContext* context, std::string_view method,
                             v1::UploadUpdateResponse* response);

  void OnReadDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // kStarting -> kWaiting (for a slot) -> kReading <-> kWorking -> kEnded; every turn may go to kEnded, from where End
  // is called once.
  enum class Turn { kStarting, kWaiting, kReading, kWorking, kEnded };
  UploadStream(const Parts& parts, grpc::CallbackServerContext* context, std::string_view method,
               v1::UploadUpdateResponse* response)
      : parts_(parts),
        peer_(parts.gate->Greet(*context)),
        context_(*context),
        method_(method),
        response_(*response),
        pace_(parts.clock, parts.silence) {}
  void Enter();
  absl::Status EnterSlots();
  void Read(Turn from) TRB_EXCLUDES(mu_);
  void EndIfTooLong(bool others_wait) TRB_EXCLUDES(mu_);
  void PostEnd(const absl::Status& status);
  void TakeChunk(bool ok);
  absl::Status Receive();
  absl::Status BeginUpload();
  absl::Status TakeBytes();
  void End(const absl::Status& status) TRB_EXCLUDES(mu_);

  const Parts parts_;
  const rpc::Peer peer_;
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
  bool answered_ = false;

  Mutex mu_;
  Turn turn_ TRB_GUARDED_BY(mu_) = Turn::kStarting;
  bool cancelled_ TRB_GUARDED_BY(mu_) = false;
  UploadPace pace_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_UPLOAD_STREAM_H_
