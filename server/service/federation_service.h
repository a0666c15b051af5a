// What an enrolled client calls (federation.proto). Thin: admission, conversion, one call, the answer.
// Threads: gRPC calls it from many threads; everything that waits runs on workers.
// Ownership: Options borrows; all of it outlives the service, and the service outlives the server it is registered
// with.
#ifndef TRIBUTARY_SERVER_SERVICE_FEDERATION_SERVICE_H_
#define TRIBUTARY_SERVER_SERVICE_FEDERATION_SERVICE_H_

#include <memory>
#include <string>

#include "server/service/chunk_stream.h"
#include "server/service/client_quotas.h"
#include "server/service/gate.h"
#include "server/service/model_snapshots.h"
#include "server/service/session.h"
#include "server/service/session_registry.h"
#include "server/service/update_intake.h"
#include "server/service/upload_slots.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::service {

class FederationService final : public v1::FederationService::CallbackService, private Session::Handler {
 public:
  struct Options {
    Gate* gate = nullptr;
    OrderedWorkers* session_workers = nullptr;
    SessionRegistry* sessions = nullptr;
    identity::IdentityService* identities = nullptr;
    rounds::RunManager* runs = nullptr;
    UpdateIntake* intake = nullptr;
    ModelSnapshots* models = nullptr;
    ClientQuotas* quotas = nullptr;
    const Clock* clock = &Clock::System();
    std::string federation;  // id
    absl::Duration heartbeat = absl::Seconds(5);
    UploadSlots::Limits uploads;
    absl::Duration upload_silence = absl::Seconds(30);  // then an upload loses its slot
  };
  explicit FederationService(Options options);

  UploadSlots& slots() { return slots_; }
  // Of each client, from now on.
  void SetLimits(const ClientQuotas::Limits& limits);

  grpc::ServerBidiReactor<v1::ClientMessage, v1::CoordinatorMessage>* OpenSession(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::ModelChunk>* DownloadModel(grpc::CallbackServerContext* context,
                                                          const v1::DownloadModelRequest* request) override;
  grpc::ServerUnaryReactor* BeginUpload(grpc::CallbackServerContext* context, const v1::BeginUploadRequest* request,
                                        v1::BeginUploadResponse* response) override;
  grpc::ServerReadReactor<v1::UploadChunk>* UploadUpdate(grpc::CallbackServerContext* context,
                                                         v1::UploadUpdateResponse* response) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context, const v1::RenewRequest* request,
                                  v1::RenewResponse* response) override;
  grpc::ServerUnaryReactor* ReportTrust(grpc::CallbackServerContext* context, const v1::TrustReport* request,
                                        v1::AuthorityList* response) override;
  // To every open session: the authorities have changed.
  void AnnounceAuthorities();

 private:
  absl::Status OnArrival(Session* session) override;
  absl::Status OnMessage(const std::shared_ptr<Session>& session, const v1::ClientMessage& message) override;
  void OnHeartbeat(Session* session) override;
  void OnEnd(Session* session) override;
  // The rest of OpenSession, on a worker.
  void AdmitSession(const std::shared_ptr<Session>& session, const rpc::Peer& peer);
  absl::Status SayHello(const std::shared_ptr<Session>& session, const v1::Hello& hello);
  absl::StatusOr<ClientQuotas::Hold> StartDownload(const std::string& client, const std::string& task,
                                                   uint64_t model_bytes);
  absl::StatusOr<ChunkStream<v1::ModelChunk>::Source> OpenModel(const identity::Principal& caller,
                                                                const v1::DownloadModelRequest& request);

  const Options options_;
  UploadSlots slots_;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_FEDERATION_SERVICE_H_
