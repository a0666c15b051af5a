// What an operator may call (operator.proto). Thin: admission, conversion, one call, the answer; mutations, and what
// takes a model or a history out, leave a line in the audit, refused ones too. Threads: gRPC calls it from many
// threads; everything that waits runs on workers. Ownership: Options borrows; all of it outlives the service, and the
// service outlives the server it is registered with.
#ifndef TRIBUTARY_SERVER_SERVICE_OPERATOR_SERVICE_H_
#define TRIBUTARY_SERVER_SERVICE_OPERATOR_SERVICE_H_

#include <atomic>
#include <functional>
#include <map>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/storage/blob_store.h"
#include "server/ledger/ledger_store.h"
#include "server/rounds/run_manager.h"
#include "server/service/gate.h"
#include "server/service/history_streams.h"
#include "server/service/model_snapshots.h"
#include "server/service/session_registry.h"
#include "tributary/v1/operator.grpc.pb.h"

namespace tributary::service {

class OperatorService final : public v1::OperatorService::CallbackService {
 public:
  struct Options {
    Gate* gate = nullptr;
    identity::IdentityService* identities = nullptr;
    rounds::RunManager* runs = nullptr;
    ledger::LedgerStore* store = nullptr;
    storage::BlobStore* blobs = nullptr;
    SessionRegistry* sessions = nullptr;
    ModelSnapshots* models = nullptr;
    const Clock* clock = &Clock::System();
    std::string federation;             // id
    std::function<v1::Status()> facts;  // versions, endpoints, times: what does not change by itself
    // Opens the enrolment port before an invitation goes out.
    std::function<void()> on_invited;
  };
  explicit OperatorService(Options options)
      : options_(std::move(options)), replays_(options_.store, options_.blobs, options_.clock) {}

  using Context = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;
  Unary* GetStatus(Context* context, const v1::GetStatusRequest* request, v1::Status* response) override;
  Unary* StartRun(Context* context, const v1::StartRunRequest* request, v1::RunDocument* response) override;
  Unary* ListRuns(Context* context, const v1::ListRunsRequest* request, v1::RunList* response) override;
  Unary* GetRun(Context* context, const v1::GetRunRequest* request, v1::RunDocument* response) override;
  Unary* StopRun(Context* context, const v1::StopRunRequest* request, v1::RunDocument* response) override;
  grpc::ServerWriteReactor<v1::RunEvent>* WatchRun(Context* context, const v1::WatchRunRequest* request) override;
  Unary* Invite(Context* context, const v1::InviteRequest* request, v1::Invitation* response) override;
  Unary* ListClients(Context* context, const v1::ListClientsRequest* request, v1::ClientList* response) override;
  Unary* GetClient(Context* context, const v1::GetClientRequest* request, v1::ClientDocument* response) override;
  Unary* RevokeClient(Context* context, const v1::RevokeClientRequest* request, v1::ClientDocument* response) override;
  grpc::ServerWriteReactor<v1::ModelPart>* ExportModel(Context* context,
                                                       const v1::ExportModelRequest* request) override;
  grpc::ServerReadReactor<v1::ModelPart>* PutModel(Context* context, v1::PutModelResponse* response) override;
  Unary* VerifyHistory(Context* context, const v1::VerifyHistoryRequest* request,
                       v1::HistoryVerification* response) override;
  grpc::ServerWriteReactor<v1::HistoryPart>* ExportHistory(Context* context,
                                                           const v1::ExportHistoryRequest* request) override;
  grpc::ServerWriteReactor<v1::ReplayPart>* ReplayHistory(Context* context,
                                                          const v1::ReplayHistoryRequest* request) override;
  Unary* ListAudit(Context* context, const v1::ListAuditRequest* request, v1::AuditList* response) override;

 private:
  absl::StatusOr<v1::Status> Status();
  absl::StatusOr<v1::RunDocument> Start(const identity::Principal& caller, const v1::StartRunRequest& request);
  absl::StatusOr<v1::RunDocument> Stop(const identity::Principal& caller, const v1::StopRunRequest& request);
  absl::StatusOr<v1::ClientDocument> Describe(v1::Client client);
  absl::StatusOr<v1::HistoryVerification> Verify(const v1::VerifyHistoryRequest& request);
  std::function<bool(const std::string&)> Online();
  void Audit(const identity::Principal& caller, const std::string& action, const std::string& subject,
             const absl::Status& outcome);
  // True when this request stopped this run before: a retry.
  bool StoppedBefore(const std::string& request_id, const std::string& run) TRB_EXCLUDES(mu_);

  static constexpr int kMostVerifying = 3;

  const Options options_;
  std::atomic<int> verifying_ = 0;
  Replays replays_;  // locks itself
  Mutex mu_;
  std::map<std::string, std::string> stops_ TRB_GUARDED_BY(mu_);  // request id -> run, of this process
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_OPERATOR_SERVICE_H_
