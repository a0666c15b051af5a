// The proof and the replay as streams of a real coordinator, and what else leaves its row in the audit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/history/proof_check.h"
#include "tests/server/service/federation_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class HistoryStreamTest : public FederationTest {
 protected:
  // A run of two rounds that one client trained.
  std::string MustFinishRun(ModelSize size = {}) {
    client_ = Enrol("alice", size);
    client_->MustOpen();
    const std::string run = MustStartRun(MakePlan(size));
    for (int round = 0; round < 2; ++round) client_->MustUpload(client_->NextTask(), client_->MakeUpdate());
    WaitForEnd(run);
    return run;
  }
  void WaitForEnd(const std::string& run) {
    v1::WatchRunRequest request;
    request.set_run(run);
    const auto context = MakeContext();
    const auto events = op().WatchRun(context.get(), request);
    v1::RunEvent event;
    while (events->Read(&event)) continue;
    EXPECT_TRUE(events->Finish().ok());
  }
  grpc::Status Export(v1::OperatorService::Stub& stub, const std::string& run, std::string* bytes) {
    v1::ExportHistoryRequest request;
    request.set_run(run);
    const auto context = MakeContext();
    const auto parts = stub.ExportHistory(context.get(), request);
    v1::HistoryPart part;
    while (parts->Read(&part)) {
      EXPECT_LE(part.data().size(), 262'144u);
      *bytes += part.data();
    }
    return parts->Finish();
  }
  grpc::Status Replay(const std::string& run, std::vector<v1::ReplayPart>* parts, uint64_t round = 0) {
    v1::ReplayHistoryRequest request;
    request.set_run(run);
    if (round > 0) request.set_round(round);
    const auto context = MakeContext();
    const auto stream = op().ReplayHistory(context.get(), request);
    v1::ReplayPart part;
    while (stream->Read(&part)) parts->push_back(part);
    return stream->Finish();
  }
  std::vector<std::string> Audited() {
    v1::AuditList list;
    EXPECT_TRUE(op().ListAudit(MakeContext().get(), {}, &list).ok());
    std::vector<std::string> out;
    for (const v1::AuditEntry& e : list.entries())
      out.push_back(absl::StrCat(e.actor(), " ", e.action(), " ", e.outcome()));
    return out;
  }

  std::unique_ptr<ScriptedClient> client_;
};

TEST_F(HistoryStreamTest, ABadRequestIsRefusedByItsField) {
  const std::string colours = "\x1b[31m";
  std::string bytes;
  grpc::Status refused = Export(op(), colours, &bytes);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("run"));
  std::vector<v1::ReplayPart> parts;
  refused = Replay(colours, &parts);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("run"));
  refused = Replay("digits", &parts, ~uint64_t{0});
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("round"));
  EXPECT_THAT(Audited(), Contains(HasSubstr("message.refused")));
}

TEST_F(HistoryStreamTest, TheProofOfARunHolds) {
  const std::string run = MustFinishRun();
  std::string bytes;
  ASSERT_TRUE(Export(op(), "digits", &bytes).ok());
  const std::string path = directory_.File("digits.proof");
  ASSERT_OK(WriteFileDurably(path, bytes));
  ASSERT_OK_AND_ASSIGN(const auto proof, history::CheckProof(path, {}, {}));
  EXPECT_EQ(proof.fault, "");
  EXPECT_EQ(proof.run, run);
  EXPECT_EQ(proof.rounds_committed, 2u);
  EXPECT_EQ(proof.updates_checked, 2u);
  EXPECT_THAT(Audited(), Contains("operator/local history.export ok"));
}

TEST_F(HistoryStreamTest, ARunThatIsNotThereIsNotFoundAndTheRefusalIsAudited) {
  std::string bytes;
  EXPECT_EQ(Export(op(), "nobody", &bytes).error_code(), grpc::StatusCode::NOT_FOUND);
  std::vector<v1::ReplayPart> parts;
  EXPECT_EQ(Replay("nobody", &parts).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(Audited(), Contains(HasSubstr("operator/local history.export refused")));
  EXPECT_THAT(Audited(), Contains(HasSubstr("operator/local history.replay refused")));
}

TEST_F(HistoryStreamTest, AClientMayCallNeitherAndThatIsAudited) {
  const std::string run = MustFinishRun();
  const auto stub = v1::OperatorService::NewStub(client_->channel());
  std::string bytes;
  EXPECT_EQ(Export(*stub, run, &bytes).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(bytes, "");
  EXPECT_THAT(Audited(), Contains("client/alice call refused: a client may not call this"));
}

TEST_F(HistoryStreamTest, ReplayMakesEachRoundOnceMore) {
  const std::string run = MustFinishRun({500, 40});
  std::vector<v1::ReplayPart> parts;
  ASSERT_TRUE(Replay(run, &parts).ok());
  ASSERT_EQ(parts.size(), 3u) << "the first says how many there are";
  EXPECT_EQ(parts[0].rounds_total(), 2u);
  for (int i : {1, 2}) {
    EXPECT_EQ(parts[static_cast<size_t>(i)].round().state(), "equal");
    EXPECT_EQ(parts[static_cast<size_t>(i)].round().round(), static_cast<uint64_t>(i));
  }
  parts.clear();
  ASSERT_TRUE(Replay(run, &parts, 2).ok());
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[1].round().replayed_model_sha256(), GetRun(run).rounds(1).model_sha256());
  EXPECT_EQ(Replay(run, &parts, 9).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(HistoryStreamTest, OneReplayAtATime) {
  const std::string run = MustFinishRun();
  v1::ReplayHistoryRequest request;
  request.set_run(run);
  const auto context = MakeContext();
  const auto first = op().ReplayHistory(context.get(), request);
  v1::ReplayPart part;
  ASSERT_TRUE(first->Read(&part));  // it is under way; it has two more parts to send
  std::vector<v1::ReplayPart> parts;
  const grpc::Status second = Replay(run, &parts);
  while (first->Read(&part)) continue;
  ASSERT_TRUE(first->Finish().ok());
  // The first one may have been done before the second was heard: then that one went through whole.
  EXPECT_TRUE(second.error_code() == grpc::StatusCode::ABORTED || parts.size() == 3u) << second.error_message();
  parts.clear();
  EXPECT_TRUE(Replay(run, &parts).ok()) << "and then the place is free";
}

TEST_F(HistoryStreamTest, AReplayThatNobodyWaitsForFreesItsPlace) {
  const std::string run = MustFinishRun();
  v1::ReplayHistoryRequest request;
  request.set_run(run);
  {
    const auto context = MakeContext();
    const auto stream = op().ReplayHistory(context.get(), request);
    context->TryCancel();
    stream->Finish();
  }
  // Bounded by the deadline of its own context: each try is one call.
  std::vector<v1::ReplayPart> parts;
  grpc::Status again = Replay(run, &parts);
  for (int i = 0; i < 1000 && again.error_code() == grpc::StatusCode::ABORTED; ++i) again = Replay(run, &parts);
  EXPECT_TRUE(again.ok()) << again.error_message();
}

TEST_F(HistoryStreamTest, EveryActionHasItsRow) {
  const std::string run = MustFinishRun();
  v1::ExportModelRequest model;
  model.set_run(run);
  model.set_round("last");
  const auto context = MakeContext();
  const auto parts = op().ExportModel(context.get(), model);
  v1::ModelPart part;
  while (parts->Read(&part)) continue;
  ASSERT_TRUE(parts->Finish().ok());
  v1::RevokeClientRequest revoke;
  revoke.set_name("alice");
  v1::ClientDocument document;
  ASSERT_TRUE(op().RevokeClient(MakeContext().get(), revoke, &document).ok());
  v1::Welcome welcome;
  client_->Reconnect();
  EXPECT_FALSE(client_->Open(client_->MakeHello(), &welcome).ok());
  const std::vector<std::string> rows = Audited();
  for (const char* row :
       {"coordinator operator.certificate ok", "coordinator coordinator.start ok", "operator/local client.invite ok",
        "operator/local run.start ok", "coordinator run.end completed", "operator/local model.export ok",
        "operator/local client.revoke ok"}) {
    EXPECT_THAT(rows, Contains(row));
  }
  EXPECT_THAT(rows, Contains(HasSubstr("client/alice call refused: this identity is revoked")));
}

}  // namespace
}  // namespace tributary::service
