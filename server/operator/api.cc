#include "server/operator/api.h"

#include <grpcpp/grpcpp.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/crypto/credential_directory.h"
#include "common/crypto/digest.h"
#include "common/rpc/credentials.h"
#include "common/rpc/enrolment_client.h"
#include "common/rpc/limits.h"
#include "common/rpc/status_codes.h"
#include "common/wire/check.h"
#include "server/operator/operator_directory.h"
#include "tributary/v1/operator.grpc.pb.h"

namespace tributary::op {
namespace {

using Stub = v1::OperatorService::Stub;

// Verifying a long history reads every blob.
constexpr auto kCallTimeout = std::chrono::seconds(30);
constexpr auto kLongTimeout = std::chrono::minutes(30);
constexpr absl::Duration kFreshTimeout = absl::Seconds(10);

class GrpcApi final : public OperatorApi {
 public:
  GrpcApi(std::string endpoint, const std::shared_ptr<grpc::Channel>& channel)
      : endpoint_(std::move(endpoint)), stub_(v1::OperatorService::NewStub(channel)) {}

  absl::StatusOr<v1::Status> GetStatus() override { return Call(&Stub::GetStatus, v1::GetStatusRequest()); }
  absl::StatusOr<v1::RunDocument> StartRun(const v1::StartRunRequest& r) override { return Call(&Stub::StartRun, r); }
  absl::StatusOr<v1::RunList> ListRuns() override { return Call(&Stub::ListRuns, v1::ListRunsRequest()); }
  absl::StatusOr<v1::RunDocument> GetRun(const v1::GetRunRequest& r) override { return Call(&Stub::GetRun, r); }
  absl::StatusOr<v1::RunDocument> StopRun(const v1::StopRunRequest& r) override { return Call(&Stub::StopRun, r); }
  absl::StatusOr<v1::Invitation> Invite(const v1::InviteRequest& r) override { return Call(&Stub::Invite, r); }
  absl::StatusOr<v1::ClientList> ListClients() override { return Call(&Stub::ListClients, v1::ListClientsRequest()); }
  absl::StatusOr<v1::ClientDocument> RevokeClient(const v1::RevokeClientRequest& r) override {
    return Call(&Stub::RevokeClient, r);
  }
  absl::StatusOr<v1::HistoryVerification> VerifyHistory(const v1::VerifyHistoryRequest& r) override {
    return Call(&Stub::VerifyHistory, r, kLongTimeout);
  }

  absl::StatusOr<v1::ClientDocument> GetClient(const std::string& name) override {
    v1::GetClientRequest request;
    request.set_name(name);
    return Call(&Stub::GetClient, request);
  }

  absl::StatusOr<v1::AuditList> ListAudit(uint64_t limit) override {
    v1::ListAuditRequest request;
    request.set_limit(limit);
    return Call(&Stub::ListAudit, request);
  }

  absl::Status WatchRun(const std::string& run, const std::function<bool(const v1::RunEvent&)>& on_event) override;
  absl::StatusOr<ExportedModel> ExportModel(const v1::ExportModelRequest& request) override;
  absl::StatusOr<std::string> PutModel(const v1::ModelHeader& header, const std::string& parameters) override;
  absl::Status ExportHistory(const v1::ExportHistoryRequest& request,
                             const std::function<absl::Status(std::string_view)>& sink) override;
  absl::Status ReplayHistory(const v1::ReplayHistoryRequest& request,
                             const std::function<void(const v1::ReplayPart&)>& on_part) override;

  void Cancel() override {
    MutexLock lock(&mu_);
    cancelled_ = true;
    if (watching_ != nullptr) watching_->TryCancel();
  }

 private:
  template <class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                const Request& request, std::chrono::seconds timeout = kCallTimeout) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    Response response;
    const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    if (!status.ok()) return Explain(status);
    return response;
  }

  absl::Status Explain(const grpc::Status& status) const {
    const absl::Status ours = rpc::FromGrpc(status);
    if (ours.code() != absl::StatusCode::kUnavailable) return ours;
    return WithFix(Annotate(ours, absl::StrCat("cannot reach the coordinator at ", endpoint_)),
                   "start it with `tributary-coordinator run --dir DIR`, or check the address and the network");
  }

  // Null when Cancel came before.
  bool SetWatching(grpc::ClientContext* context) {
    MutexLock lock(&mu_);
    watching_ = context;
    return !cancelled_;
  }

  const std::string endpoint_;
  const std::unique_ptr<Stub> stub_;
  Mutex mu_;
  grpc::ClientContext* watching_ TRB_GUARDED_BY(mu_) = nullptr;
  bool cancelled_ TRB_GUARDED_BY(mu_) = false;
};

absl::Status GrpcApi::WatchRun(const std::string& run, const std::function<bool(const v1::RunEvent&)>& on_event) {
  grpc::ClientContext context;
  if (!SetWatching(&context)) {
    SetWatching(nullptr);
    return absl::CancelledError("cancelled");
  }
  v1::WatchRunRequest request;
  request.set_run(run);
  const std::unique_ptr<grpc::ClientReader<v1::RunEvent>> reader = stub_->WatchRun(&context, request);
  v1::RunEvent event;
  bool wanted = true;
  while (wanted && reader->Read(&event)) wanted = on_event(event);
  if (!wanted) context.TryCancel();
  const grpc::Status status = reader->Finish();
  SetWatching(nullptr);
  return !wanted || status.ok() ? absl::OkStatus() : Explain(status);
}

// The header first, then no more bytes than it says. DATA_LOSS.
absl::Status TakePart(const v1::ModelPart& part, ExportedModel* model) {
  const absl::Status good = wire::Check(part);
  if (!good.ok()) return absl::DataLossError(absl::StrCat("a part of the model: ", good.message()));
  if (part.has_header() && model->header.total_bytes() > 0) return absl::DataLossError("the model has two headers");
  if (part.has_header()) model->header = part.header();
  if (part.data().size() > model->header.total_bytes() - model->parameters.size())
    return absl::DataLossError("the model is larger than its header says, or has none");
  model->parameters += part.data();
  return absl::OkStatus();
}

absl::StatusOr<ExportedModel> GrpcApi::ExportModel(const v1::ExportModelRequest& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kLongTimeout);
  const std::unique_ptr<grpc::ClientReader<v1::ModelPart>> reader = stub_->ExportModel(&context, request);
  ExportedModel model;
  v1::ModelPart part;
  absl::Status good;
  while (good.ok() && reader->Read(&part)) good = TakePart(part, &model);
  if (!good.ok()) {
    context.TryCancel();
    reader->Finish();
    return good;
  }
  if (const grpc::Status status = reader->Finish(); !status.ok()) return Explain(status);
  if (crypto::Sha256Hex(model.parameters) != model.header.model_sha256())
    return absl::DataLossError("the model that arrived does not fit its digest");
  return model;
}

absl::Status GrpcApi::ExportHistory(const v1::ExportHistoryRequest& request,
                                    const std::function<absl::Status(std::string_view)>& sink) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kLongTimeout);
  const std::unique_ptr<grpc::ClientReader<v1::HistoryPart>> reader = stub_->ExportHistory(&context, request);
  v1::HistoryPart part;
  absl::Status taken;
  while (taken.ok() && reader->Read(&part)) taken = sink(part.data());
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  if (!taken.ok()) return taken;
  return status.ok() ? absl::OkStatus() : Explain(status);
}

// Without a deadline: it lasts as long as the run's models take, and shows each as it comes.
absl::Status GrpcApi::ReplayHistory(const v1::ReplayHistoryRequest& request,
                                    const std::function<void(const v1::ReplayPart&)>& on_part) {
  grpc::ClientContext context;
  if (!SetWatching(&context)) {
    SetWatching(nullptr);
    return absl::CancelledError("cancelled");
  }
  const std::unique_ptr<grpc::ClientReader<v1::ReplayPart>> reader = stub_->ReplayHistory(&context, request);
  v1::ReplayPart part;
  while (reader->Read(&part)) on_part(part);
  const grpc::Status status = reader->Finish();
  SetWatching(nullptr);
  return status.ok() ? absl::OkStatus() : Explain(status);
}

absl::StatusOr<std::string> GrpcApi::PutModel(const v1::ModelHeader& header, const std::string& parameters) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kLongTimeout);
  v1::PutModelResponse response;
  const std::unique_ptr<grpc::ClientWriter<v1::ModelPart>> writer = stub_->PutModel(&context, &response);
  v1::ModelPart part;
  *part.mutable_header() = header;
  bool open = true;
  for (size_t at = 0; open && at < parameters.size(); at += rpc::kChunkBytes) {
    part.set_data(parameters.substr(at, rpc::kChunkBytes));
    open = writer->Write(part);
    part.clear_header();
  }
  writer->WritesDone();
  if (const grpc::Status status = writer->Finish(); !status.ok()) return Explain(status);
  return response.model_sha256();
}

// The identity of an operator on another machine is kept fresh by whoever uses it: which authorities there are, and a
// certificate in date and of the active one. What fails is told by the call that is wanted.
void KeepFresh(const OperatorAccess& access) {
  const auto lock = DirectoryLock::Acquire(access.credential_root);
  if (!lock.ok()) return;  // another command is at it
  const auto follow = rpc::FollowAuthorities(access.endpoint, access.credential_root, Clock::System(), kFreshTimeout);
  const auto own = crypto::CredentialDirectory(access.credential_root).Load();
  const bool due = own.ok() && Clock::System().Now() >= crypto::RenewalDue(own->certificate);
  absl::Status renewed;
  if (due || (follow.ok() && *follow))
    renewed = rpc::RenewCredential(access.endpoint, access.credential_root, kFreshTimeout);
  for (const absl::Status& failed : {follow.status(), renewed}) {
    if (failed.ok() || absl::IsUnavailable(failed) || absl::IsUnimplemented(failed)) continue;
    Log(LogLevel::kWarning, "identity_not_renewed", {{"why", failed.ToString()}});
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<OperatorApi>> OperatorApi::Connect(const std::string& dir) {
  TRB_ASSIGN_OR_RETURN(const OperatorAccess access, FindOperatorAccess(dir));
  if (access.joined) KeepFresh(access);
  TRB_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel,
                       rpc::OpenChannel(access.endpoint, crypto::CredentialDirectory(access.credential_root)));
  return std::make_unique<GrpcApi>(access.endpoint, channel);
}

}  // namespace tributary::op
