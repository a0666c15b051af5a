// A coordinator that answers what the test put in, and remembers what it was asked.
#ifndef TRIBUTARY_TESTS_SERVER_OPERATOR_FAKE_API_H_
#define TRIBUTARY_TESTS_SERVER_OPERATOR_FAKE_API_H_

#include <string>
#include <vector>

#include "server/operator/api.h"

namespace tributary::op {

struct FakeCoordinator {
  absl::Status error;  // when not OK: what every call returns
  v1::Status status;
  v1::RunDocument run;
  v1::RunList runs;
  v1::ClientList clients;
  v1::ClientDocument client;
  v1::Invitation invitation;
  v1::HistoryVerification verification;
  v1::AuditList audit;
  std::vector<std::string> proof;  // its bytes, in the parts in which they come
  std::vector<v1::ReplayPart> replay;
  ExportedModel model;
  std::vector<v1::RunEvent> events;
  // What came in.
  v1::StartRunRequest started;
  v1::GetRunRequest asked;
  v1::InviteRequest invited;
  std::string put_parameters;
};

class FakeApi final : public OperatorApi {
 public:
  explicit FakeApi(FakeCoordinator* c) : c_(*c) {}

  absl::StatusOr<v1::Status> GetStatus() override { return Answer(c_.status); }
  absl::StatusOr<v1::RunDocument> StartRun(const v1::StartRunRequest& r) override {
    c_.started = r;
    return Answer(c_.run);
  }
  absl::StatusOr<v1::RunList> ListRuns() override { return Answer(c_.runs); }
  absl::StatusOr<v1::RunDocument> GetRun(const v1::GetRunRequest& r) override {
    c_.asked = r;
    return Answer(c_.run);
  }
  absl::StatusOr<v1::RunDocument> StopRun(const v1::StopRunRequest&) override { return Answer(c_.run); }
  absl::Status WatchRun(const std::string&, const std::function<bool(const v1::RunEvent&)>& on_event) override {
    for (const v1::RunEvent& e : c_.events) {
      *c_.run.mutable_run() = e.run();
      if (!on_event(e)) break;
    }
    return c_.error;
  }
  absl::StatusOr<v1::Invitation> Invite(const v1::InviteRequest& r) override {
    c_.invited = r;
    return Answer(c_.invitation);
  }
  absl::StatusOr<v1::ClientList> ListClients() override { return Answer(c_.clients); }
  absl::StatusOr<v1::ClientDocument> GetClient(const std::string&) override { return Answer(c_.client); }
  absl::StatusOr<v1::ClientDocument> RevokeClient(const v1::RevokeClientRequest&) override { return Answer(c_.client); }
  absl::StatusOr<ExportedModel> ExportModel(const v1::ExportModelRequest&) override { return Answer(c_.model); }
  absl::StatusOr<std::string> PutModel(const v1::ModelHeader&, const std::string& parameters) override {
    c_.put_parameters = parameters;
    return std::string(64, 'f');
  }
  absl::StatusOr<v1::HistoryVerification> VerifyHistory(const v1::VerifyHistoryRequest&) override {
    return Answer(c_.verification);
  }
  absl::Status ExportHistory(const v1::ExportHistoryRequest&,
                             const std::function<absl::Status(std::string_view)>& sink) override {
    for (const std::string& bytes : c_.proof) TRB_RETURN_IF_ERROR(sink(bytes));
    return c_.error;
  }
  absl::Status ReplayHistory(const v1::ReplayHistoryRequest&,
                             const std::function<void(const v1::ReplayPart&)>& on_part) override {
    for (const v1::ReplayPart& part : c_.replay) on_part(part);
    return c_.error;
  }
  absl::StatusOr<v1::AuditList> ListAudit(uint64_t) override { return Answer(c_.audit); }
  void Cancel() override {}

 private:
  template <class T>
  absl::StatusOr<T> Answer(const T& value) const {
    if (!c_.error.ok()) return c_.error;
    return value;
  }
  FakeCoordinator& c_;
};

}  // namespace tributary::op

#endif  // TRIBUTARY_TESTS_SERVER_OPERATOR_FAKE_API_H_
