// The coordinator as the command line sees it: one method per RPC, no gRPC in this header. Tests use a fake.
// Every call is bounded by a deadline and returns the coordinator's own status; UNAVAILABLE names the endpoint.
// Threads: one caller at a time, but Cancel may come from any thread.
#ifndef TRIBUTARY_SERVER_OPERATOR_API_H_
#define TRIBUTARY_SERVER_OPERATOR_API_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::op {

struct ExportedModel {
  v1::ModelHeader header;
  std::string parameters;  // float32 little-endian; digest checked against the header
};

class OperatorApi {
 public:
  virtual ~OperatorApi() = default;
  // `dir` is a coordinator's directory on this host, or one that `tributary join` made.
  static absl::StatusOr<std::unique_ptr<OperatorApi>> Connect(const std::string& dir);

  virtual absl::StatusOr<v1::Status> GetStatus() = 0;
  virtual absl::StatusOr<v1::RunDocument> StartRun(const v1::StartRunRequest& request) = 0;
  virtual absl::StatusOr<v1::RunList> ListRuns() = 0;
  virtual absl::StatusOr<v1::RunDocument> GetRun(const v1::GetRunRequest& request) = 0;
  virtual absl::StatusOr<v1::RunDocument> StopRun(const v1::StopRunRequest& request) = 0;
  // Calls `on_event` until the run ends (OK), it returns false (OK), or Cancel (CANCELLED).
  virtual absl::Status WatchRun(const std::string& run, const std::function<bool(const v1::RunEvent&)>& on_event) = 0;
  virtual absl::StatusOr<v1::Invitation> Invite(const v1::InviteRequest& request) = 0;
  virtual absl::StatusOr<v1::ClientList> ListClients() = 0;
  virtual absl::StatusOr<v1::ClientDocument> GetClient(const std::string& name) = 0;
  virtual absl::StatusOr<v1::ClientDocument> RevokeClient(const v1::RevokeClientRequest& request) = 0;
  // DATA_LOSS when what arrives does not fit its digest.
  virtual absl::StatusOr<ExportedModel> ExportModel(const v1::ExportModelRequest& request) = 0;
  // Returns the parameters' digest.
  virtual absl::StatusOr<std::string> PutModel(const v1::ModelHeader& header, const std::string& parameters) = 0;
  virtual absl::StatusOr<v1::HistoryVerification> VerifyHistory(const v1::VerifyHistoryRequest& request) = 0;
  // Calls `sink` with the proof's bytes in order; its error ends the call and is returned.
  virtual absl::Status ExportHistory(const v1::ExportHistoryRequest& request,
                                     const std::function<absl::Status(std::string_view)>& sink) = 0;
  // Calls `on_part` until all is replayed (OK) or Cancel (CANCELLED).
  virtual absl::Status ReplayHistory(const v1::ReplayHistoryRequest& request,
                                     const std::function<void(const v1::ReplayPart&)>& on_part) = 0;
  virtual absl::StatusOr<v1::AuditList> ListAudit(uint64_t limit) = 0;
  // Ends a WatchRun or ReplayHistory under way.
  virtual void Cancel() = 0;
};

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_API_H_
