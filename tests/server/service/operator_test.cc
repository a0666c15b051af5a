// What operators call, and what a coordinator's directory and ports promise.
#include <gmock/gmock.h>

#include <thread>

#include "common/base/files.h"
#include "common/crypto/digest.h"
#include "common/rpc/credentials.h"
#include "common/rpc/enrolment_client.h"
#include "common/rpc/limits.h"
#include "server/service/endpoints_file.h"
#include "server/service/socket_listener.h"
#include "tests/server/service/federation_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class OperatorTest : public FederationTest {
 protected:
  v1::Status Status() {
    v1::Status status;
    const grpc::Status got = op().GetStatus(MakeContext().get(), {}, &status);
    EXPECT_TRUE(got.ok()) << got.error_message();
    return status;
  }
  std::vector<std::string> Audited() {
    v1::AuditList list;
    EXPECT_TRUE(op().ListAudit(MakeContext().get(), {}, &list).ok());
    std::vector<std::string> lines;
    for (const v1::AuditEntry& entry : list.entries()) {
      lines.push_back(entry.actor() + " " + entry.action() + " " + entry.outcome());
    }
    return lines;
  }
};

TEST_F(OperatorTest, StatusCountsClientsAndRuns) {
  const auto client = Enrol("berlin");
  Enrol("paris");
  client->MustOpen();
  MustStartRun(MakePlan());
  const v1::Status status = Status();
  EXPECT_EQ(status.schema_version(), 1u);
  EXPECT_EQ(status.clients(), 2u);
  EXPECT_EQ(status.clients_online(), 1u);
  EXPECT_EQ(status.runs_active(), 1u);
  EXPECT_THAT(status.main_endpoint(), HasSubstr("localhost:"));
  EXPECT_GT(status.server_certificate_not_after_unix_ms(), status.started_unix_ms());
}

TEST_F(OperatorTest, TheSameRequestMakesOneRun) {
  v1::StartRunRequest request;
  request.set_request_id("once");
  *request.mutable_plan() = MakePlan();
  v1::RunDocument first, second;
  ASSERT_TRUE(op().StartRun(MakeContext().get(), request, &first).ok());
  ASSERT_TRUE(op().StartRun(MakeContext().get(), request, &second).ok());
  EXPECT_EQ(first.run().id(), second.run().id());
  v1::RunList list;
  ASSERT_TRUE(op().ListRuns(MakeContext().get(), {}, &list).ok());
  EXPECT_EQ(list.runs_size(), 1);
}

TEST_F(OperatorTest, ABadPlanMakesNoRunAndIsAudited) {
  v1::StartRunRequest request;
  request.set_request_id("bad");
  *request.mutable_plan() = MakePlan();
  request.mutable_plan()->set_rounds(0);
  request.mutable_plan()->mutable_round()->set_min_clients(5);
  v1::RunDocument document;
  const grpc::Status refused = op().StartRun(MakeContext().get(), request, &document);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("rounds"));
  EXPECT_THAT(refused.error_message(), HasSubstr("min_clients"));
  v1::RunList list;
  ASSERT_TRUE(op().ListRuns(MakeContext().get(), {}, &list).ok());
  EXPECT_EQ(list.runs_size(), 0);
  EXPECT_THAT(Audited(), ::testing::Contains(HasSubstr("operator/local run.start refused")));
}

TEST_F(OperatorTest, ADryRunOnlyChecks) {
  v1::StartRunRequest request;
  request.set_request_id("dry");
  *request.mutable_plan() = MakePlan();
  request.set_dry_run(true);
  v1::RunDocument document;
  ASSERT_TRUE(op().StartRun(MakeContext().get(), request, &document).ok());
  EXPECT_FALSE(document.has_run());
  v1::RunList list;
  ASSERT_TRUE(op().ListRuns(MakeContext().get(), {}, &list).ok());
  EXPECT_EQ(list.runs_size(), 0);
}

TEST_F(OperatorTest, ARunIsStoppedOnceAndARetryIsNoError) {
  const std::string run = MustStartRun(MakePlan());
  v1::StopRunRequest stop;
  stop.set_run(run.substr(0, 6));  // a prefix will do
  stop.set_request_id("stop-1");
  v1::RunDocument document;
  ASSERT_TRUE(op().StopRun(MakeContext().get(), stop, &document).ok());
  EXPECT_EQ(document.run().state(), "stopped");
  EXPECT_TRUE(op().StopRun(MakeContext().get(), stop, &document).ok());
  stop.set_request_id("stop-2");
  EXPECT_EQ(op().StopRun(MakeContext().get(), stop, &document).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(Audited(), ::testing::Contains("operator/local run.stop ok"));
}

TEST_F(OperatorTest, ARevokedClientIsListedAndAudited) {
  Enrol("berlin");
  v1::RevokeClientRequest revoke;
  revoke.set_name("berlin");
  v1::ClientDocument document;
  ASSERT_TRUE(op().RevokeClient(MakeContext().get(), revoke, &document).ok());
  v1::ClientList list;
  ASSERT_TRUE(op().ListClients(MakeContext().get(), {}, &list).ok());
  ASSERT_EQ(list.clients_size(), 1);
  EXPECT_EQ(list.clients(0).state(), "revoked");
  EXPECT_THAT(Audited(), ::testing::Contains("operator/local client.revoke ok"));
  revoke.set_name("nobody");
  EXPECT_EQ(op().RevokeClient(MakeContext().get(), revoke, &document).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(OperatorTest, ReplacingAnOperatorCutsItsStreamsWithinASecond) {
  const auto invite = [this](bool replace) {
    v1::InviteRequest request;
    request.set_name("carol");
    request.set_role("operator");
    request.set_replace(replace);
    v1::Invitation invitation;
    EXPECT_TRUE(op().Invite(MakeContext().get(), request, &invitation).ok());
    return invitation.invitation();
  };
  rpc::JoinOptions as_operator;
  as_operator.role = crypto::InvitedRole::kOperator;
  const std::string root = directory_.File("carol");
  ASSERT_OK(rpc::JoinFederation(invite(false), root, as_operator, Clock::System()));
  ASSERT_OK_AND_ASSIGN(const auto channel,
                       rpc::OpenChannel(coordinator_->MainEndpoint(), crypto::CredentialDirectory(root)));
  const auto carol = v1::OperatorService::NewStub(channel);

  v1::WatchRunRequest watch;
  watch.set_run(MustStartRun(MakePlan()));
  const auto watch_context = MakeContext(), put_context = MakeContext();
  const auto events = carol->WatchRun(watch_context.get(), watch);
  v1::RunEvent event;
  ASSERT_TRUE(events->Read(&event));
  v1::PutModelResponse put;
  const auto parts = carol->PutModel(put_context.get(), &put);

  const auto began = std::chrono::steady_clock::now();
  invite(true);
  while (events->Read(&event)) {
  }
  EXPECT_EQ(events->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_FALSE(parts->Finish().ok());  // without a word from us
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
  v1::Status status;
  EXPECT_EQ(carol->GetStatus(MakeContext().get(), {}, &status).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(op().GetStatus(MakeContext().get(), {}, &status).ok()) << "the other operator goes on";
}

TEST_F(OperatorTest, TheInitialModelIsExportedInParts) {
  const std::string run = MustStartRun(MakePlan({1000, 200}));
  v1::ExportModelRequest request;
  request.set_run(run);
  request.set_round("0");
  const auto context = MakeContext();
  const auto parts = op().ExportModel(context.get(), request);
  v1::ModelPart part;
  v1::ModelHeader header;
  std::string bytes;
  while (parts->Read(&part)) {
    if (part.has_header()) header = part.header();
    bytes += part.data();
  }
  ASSERT_TRUE(parts->Finish().ok());
  EXPECT_EQ(header.total_bytes(), bytes.size());
  EXPECT_EQ(header.model_sha256(), crypto::Sha256Hex(bytes));
  EXPECT_EQ(header.run_id(), run);
  EXPECT_EQ(header.model().layers_size(), 1);

  request.set_round("last");
  const auto none_context = MakeContext();
  const auto none = op().ExportModel(none_context.get(), request);
  EXPECT_FALSE(none->Read(&part));
  EXPECT_EQ(none->Finish().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(OperatorTest, AModelIsPutInPartsAndCheckedAgainstItsDigest) {
  const std::string bytes(600'000, 'm');
  for (const bool right : {true, false}) {
    const auto context = MakeContext();
    v1::PutModelResponse response;
    const auto writer = op().PutModel(context.get(), &response);
    v1::ModelPart part;
    part.mutable_header()->set_total_bytes(bytes.size());
    part.mutable_header()->set_model_sha256(right ? crypto::Sha256Hex(bytes) : std::string(64, 'a'));
    for (size_t at = 0; at < bytes.size(); at += rpc::kChunkBytes) {
      part.set_data(bytes.substr(at, rpc::kChunkBytes));
      writer->Write(part);
      part.clear_header();
    }
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    EXPECT_EQ(status.error_code(), right ? grpc::StatusCode::OK : grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(response.model_sha256(), right ? crypto::Sha256Hex(bytes) : "");
  }
  EXPECT_THAT(Audited(), ::testing::Contains("operator/local model.put ok"));
}

TEST_F(OperatorTest, TheEnrolmentPortIsOpenOnlyWhileAnInvitationWaits) {
  EXPECT_EQ(Status().enrol_endpoint(), "closed");
  const auto client = Enrol("berlin");  // through the port, so it was open
  EXPECT_NE(Status().enrol_endpoint(), "closed") << "open until the client's first session";
  client->MustOpen();
  while (Status().enrol_endpoint() != "closed") std::this_thread::yield();
  Enrol("paris");  // and opens again, on the same port
}

TEST_F(OperatorTest, PortsStayTheSameAcrossRestarts) {
  const std::string main = coordinator_->MainEndpoint();
  RestartCoordinator();
  EXPECT_EQ(coordinator_->MainEndpoint(), main);
  ASSERT_OK_AND_ASSIGN(const EndpointsFile file, ReadEndpoints(dir()));
  EXPECT_EQ(identity::JoinHostPort(file.main.host, file.main.port), main);
}

TEST_F(OperatorTest, APortInUseIsRefusedWithTheWayOut) {
  ASSERT_OK_AND_ASSIGN(const EndpointsFile file, ReadEndpoints(dir()));
  coordinator_.reset();
  ASSERT_OK_AND_ASSIGN(const auto squatter, SocketListener::Bind(file.main));
  EXPECT_THAT(Coordinator::Start(options_), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("in use")));
}

TEST_F(OperatorTest, ADirectoryHasOneCoordinator) {
  EXPECT_THAT(Coordinator::Start(options_), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(dir())));
}

TEST_F(OperatorTest, AFaultInTheSettingsIsNamedWithItsLine) {
  coordinator_.reset();
  directory_.Write("coordinator.toml", "listen = \"127.0.0.1:0\"\nlisen = 7\nlog_level = \"loud\"\n");
  const auto refused = Coordinator::Start(options_);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("coordinator.toml:2")));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("log_level")));
}

TEST_F(OperatorTest, ADamagedLedgerIsRefusedByName) {
  coordinator_.reset();
  ASSERT_THAT(WriteFileDurably(directory_.File("ledger.db"), std::string(8192, 'x')), IsOk());
  const auto refused = Coordinator::Start(options_);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("ledger.db"));
}

}  // namespace
}  // namespace tributary::service
