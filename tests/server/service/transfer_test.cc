// Models down and updates up: what is accepted, what is refused and with which code, and what a cut or a restart
// leaves.
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/crypto/certificate.h"
#include "common/crypto/digest.h"
#include "common/rpc/limits.h"
#include "common/storage/database.h"
#include "common/update/signed_record.h"
#include "common/update/update_codec.h"
#include "server/ledger/ledger_store.h"
#include "server/service/upload_store.h"
#include "tests/server/service/federation_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

constexpr ModelSize kLarge{1000, 200};  // 200,200 parameters: four chunks

class TransferTest : public FederationTest {
 protected:
  // One enrolled client with a session and a task of a run of one client.
  void Begin(ModelSize size = {}) {
    client_ = Enrol("berlin", size);
    client_->MustOpen();
    run_ = MustStartRun(MakePlan(size));
    task_ = client_->NextTask();
  }

  // Sends the first chunk and hangs up once it is on disk.
  void CutAfterFirstChunk(const std::string& upload_id, const std::string& update) {
    const auto context = MakeContext();
    v1::UploadUpdateResponse none;
    const auto writer = client_->stub().UploadUpdate(context.get(), &none);
    v1::UploadChunk chunk;
    chunk.set_upload_id(upload_id);
    chunk.set_data(update.substr(0, rpc::kChunkBytes));
    ASSERT_TRUE(writer->Write(chunk));
    const std::string file = directory_.File("partial/" + upload_id);
    std::error_code error;
    while (std::filesystem::file_size(file, error) != static_cast<uint64_t>(rpc::kChunkBytes)) {
      std::this_thread::yield();
    }
    context->TryCancel();
    writer->Finish();
  }

  v1::BeginUploadResponse MustBegin(const std::string& update) {
    v1::BeginUploadResponse begun;
    const grpc::Status status = client_->BeginUpload(client_->Announce(task_, update), &begun);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return begun;
  }

  std::unique_ptr<ScriptedClient> client_;
  std::string run_;
  v1::TrainTask task_;
};

TEST_F(TransferTest, TheModelComesDownWholeAndFromAnyOffset) {
  Begin(kLarge);
  std::string whole, rest, nothing;
  ASSERT_TRUE(client_->Download(task_.task_id(), 0, &whole).ok());
  EXPECT_EQ(whole.size(), task_.base_model_bytes());
  EXPECT_EQ(crypto::Sha256Hex(whole), task_.base_model_sha256());
  ASSERT_TRUE(client_->Download(task_.task_id(), 300'001, &rest).ok());
  EXPECT_EQ(rest, whole.substr(300'001));
  EXPECT_TRUE(client_->Download(task_.task_id(), whole.size(), &nothing).ok());
  EXPECT_EQ(nothing, "");
  EXPECT_EQ(client_->Download(task_.task_id(), whole.size() + 1, &nothing).error_code(),
            grpc::StatusCode::OUT_OF_RANGE);
}

TEST_F(TransferTest, AnotherClientsTaskIsNobodysBusiness) {
  Begin();
  const auto other = Enrol("paris");
  std::string bytes;
  EXPECT_EQ(other->Download(task_.task_id(), 0, &bytes).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  v1::BeginUploadResponse begun;
  ASSERT_TRUE(other->BeginUpload(other->Announce(task_, other->MakeUpdate()), &begun).ok());
  EXPECT_EQ(begun.rejected().code(), "not_invited");
  // The holder is none the worse for it.
  EXPECT_TRUE(client_->MustUpload(task_, client_->MakeUpdate()).has_record());
}

TEST_F(TransferTest, AnUpdateIsAcceptedOnceAndItsReceiptIsSigned) {
  Begin();
  const std::string update = client_->MakeUpdate();
  const v1::Receipt receipt = client_->MustUpload(task_, update);
  const auto certificate = crypto::Certificate::FromPem(task_.receipt_certificate_pem());
  ASSERT_TRUE(certificate.ok());
  EXPECT_TRUE(certificate->public_key().Verify(update::CanonicalBytes(receipt), receipt.signature()));
  EXPECT_EQ(receipt.previous_record_sha256(), task_.previous_record_sha256());

  v1::BeginUploadResponse again;
  ASSERT_TRUE(client_->BeginUpload(client_->Announce(task_, update), &again).ok());
  EXPECT_EQ(again.receipt().SerializeAsString(), receipt.SerializeAsString());
  v1::BeginUploadResponse other;
  ASSERT_TRUE(client_->BeginUpload(client_->Announce(task_, client_->MakeUpdate(0.25f)), &other).ok());
  EXPECT_EQ(other.rejected().code(), "duplicate");
}

TEST_F(TransferTest, TwoRoundsGiveACompletedRunWhoseHistoryVerifies) {
  Begin();
  client_->MustUpload(task_, client_->MakeUpdate());
  client_->MustUpload(client_->NextTask(), client_->MakeUpdate());
  v1::WatchRunRequest watch;
  watch.set_run(run_);
  const auto context = MakeContext();
  const auto events = op().WatchRun(context.get(), watch);
  v1::RunEvent event;
  while (events->Read(&event)) {
  }
  ASSERT_TRUE(events->Finish().ok());
  EXPECT_EQ(event.run().state(), "completed");
  EXPECT_EQ(GetRun(run_).rounds_size(), 2);
  v1::VerifyHistoryRequest verify;
  verify.set_run(run_);
  verify.set_blobs(true);
  v1::HistoryVerification verified;
  ASSERT_TRUE(op().VerifyHistory(MakeContext().get(), verify, &verified).ok());
  EXPECT_TRUE(verified.ok()) << verified.ShortDebugString();
}

struct BadAnnouncement {
  const char* name;
  const char* code;
  std::function<void(const ScriptedClient&, v1::BeginUploadRequest*)> spoil;
};

// Changes the record and signs it anew, so that only this fault is left.
std::function<void(const ScriptedClient&, v1::BeginUploadRequest*)> Signed(
    std::function<void(v1::UpdateRecord*)> change) {
  return [change](const ScriptedClient& client, v1::BeginUploadRequest* request) {
    change(request->mutable_record());
    client.Sign(request);
  };
}

const std::string kOtherDigest(64, 'a');

const BadAnnouncement kBadAnnouncements[] = {
    {"wrong_federation", "malformed", Signed([](v1::UpdateRecord* r) { r->set_federation("f-other"); })},
    {"wrong_run", "malformed", Signed([](v1::UpdateRecord* r) { r->set_run_id("other"); })},
    {"wrong_round", "malformed", Signed([](v1::UpdateRecord* r) { r->set_round(r->round() + 1); })},
    {"wrong_base_model", "wrong_base_model",
     Signed([](v1::UpdateRecord* r) { r->set_base_model_sha256(kOtherDigest); })},
    {"wrong_plan", "wrong_plan", Signed([](v1::UpdateRecord* r) { r->set_plan_sha256(kOtherDigest); })},
    {"unknown_encoding", "bad_encoding", Signed([](v1::UpdateRecord* r) { r->set_encoding("zip"); })},
    {"too_short", "wrong_shape", Signed([](v1::UpdateRecord* r) { r->set_length(r->length() - 4); })},
    {"too_long", "wrong_shape", Signed([](v1::UpdateRecord* r) { r->set_length(r->length() + 4); })},
    {"no_examples", "bad_examples", Signed([](v1::UpdateRecord* r) { r->set_examples(0); })},
    {"more_examples_than_declared", "bad_examples", Signed([](v1::UpdateRecord* r) { r->set_examples(101); })},
    {"negative_examples", "bad_examples", Signed([](v1::UpdateRecord* r) { r->set_examples(uint64_t(-1)); })},
    {"garbled_digest", "malformed", Signed([](v1::UpdateRecord* r) { r->set_update_sha256("../../etc/passwd"); })},
    {"other_metrics", "wrong_digest",
     [](const ScriptedClient&, v1::BeginUploadRequest* request) { request->set_metrics(""); }},
    {"metrics_that_are_none", "bad_metrics",
     [](const ScriptedClient& client, v1::BeginUploadRequest* request) {
       request->set_metrics("\xff\xff\xff");
       request->mutable_record()->set_metrics_sha256(crypto::Sha256Hex(request->metrics()));
       client.Sign(request);
     }},
    {"other_certificate", "bad_signature",
     Signed([](v1::UpdateRecord* r) { r->set_certificate_sha256(kOtherDigest); })},
    {"signature_of_another_record", "bad_signature",
     [](const ScriptedClient&, v1::BeginUploadRequest* request) { request->mutable_record()->set_examples(7); }},
    {"no_signature", "bad_signature",
     [](const ScriptedClient&, v1::BeginUploadRequest* request) { request->clear_signature(); }},
    {"huge_signature", "bad_signature",
     [](const ScriptedClient&, v1::BeginUploadRequest* request) { request->set_signature(std::string(129, 'x')); }},
};

// Each refusal ends the client's part in its round, so each case has a round of its own.
TEST_F(TransferTest, EveryBadAnnouncementIsRefusedByCodeAndRecorded) {
  Begin();
  for (const BadAnnouncement& bad : kBadAnnouncements) {
    SCOPED_TRACE(bad.name);
    v1::BeginUploadRequest request = client_->Announce(task_, client_->MakeUpdate());
    bad.spoil(*client_, &request);
    v1::BeginUploadResponse response;
    const grpc::Status status = client_->BeginUpload(request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_TRUE(response.has_rejected()) << response.ShortDebugString();
    EXPECT_EQ(response.rejected().code(), bad.code) << response.rejected().reason();
    task_ = client_->NextTask();
  }
  const v1::RunDocument document = GetRun(run_, true);
  ASSERT_GE(document.contributions_size(), static_cast<int>(std::size(kBadAnnouncements)));
  for (size_t i = 0; i < std::size(kBadAnnouncements); ++i) {
    const v1::Contribution& row = document.contributions(static_cast<int>(i));
    EXPECT_EQ(row.state(), "rejected") << kBadAnnouncements[i].name;
    EXPECT_THAT(row.reason(), ::testing::StartsWith(absl::StrCat(kBadAnnouncements[i].code, ":")));
    EXPECT_EQ(document.rounds(static_cast<int>(i)).state(), "abandoned");
    EXPECT_EQ(document.rounds(static_cast<int>(i)).model_sha256(), document.run().initial_model_sha256());
  }
}

struct BadContent {
  const char* name;
  const char* code;
  std::function<std::string(std::string)> spoil;
};

std::string WithFloat(std::string bytes, float value) {
  const std::string one = update::EncodeParameters(std::vector<float>{value});
  return bytes.replace(4, 4, one);
}

const BadContent kBadContents[] = {
    {"nan", "not_finite", [](std::string b) { return WithFloat(b, std::numeric_limits<float>::quiet_NaN()); }},
    {"infinity", "not_finite", [](std::string b) { return WithFloat(b, std::numeric_limits<float>::infinity()); }},
    {"too_large", "too_large", [](std::string b) { return WithFloat(b, 1048576.0f); }},
};

// A history is checked later against certificates as they were when the update was accepted.
TEST_F(TransferTest, ACertificateOfYesterdaySignsNothing) {
  Begin();
  ASSERT_OK_AND_ASSIGN(const auto database, storage::Database::Open(ledger::LedgerPath(dir())));
  ASSERT_OK(
      database->Run("INSERT INTO certificates (sha256, serial, client_id, pem, request_sha256, "
                    "not_before_unix_ms, not_after_unix_ms, issued_unix_ms, state) "
                    "SELECT ?1, 'other', client_id, pem, '', 1, 2, 1, 'superseded' FROM certificates "
                    "WHERE client_id = ?2",
                    {kOtherDigest, client_->id()}));
  v1::BeginUploadRequest request = client_->Announce(task_, client_->MakeUpdate());
  request.mutable_record()->set_certificate_sha256(kOtherDigest);
  client_->Sign(&request);
  v1::BeginUploadResponse response;
  ASSERT_TRUE(client_->BeginUpload(request, &response).ok());
  EXPECT_EQ(response.rejected().code(), "bad_signature");
  EXPECT_THAT(response.rejected().reason(), ::testing::HasSubstr("not valid now"));
}

TEST_F(TransferTest, EveryBadContentIsRefusedByCode) {
  Begin();
  for (const BadContent& bad : kBadContents) {
    SCOPED_TRACE(bad.name);
    const std::string update = bad.spoil(client_->MakeUpdate());
    const v1::BeginUploadResponse begun = MustBegin(update);
    ASSERT_TRUE(begun.has_ticket()) << begun.ShortDebugString();
    v1::UploadUpdateResponse done;
    const grpc::Status status = client_->Upload(begun.ticket().upload_id(), update, 0, &done);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(done.rejected().code(), bad.code) << done.ShortDebugString();
    EXPECT_TRUE(std::filesystem::is_empty(directory_.File("partial")));
    task_ = client_->NextTask();
  }
}

TEST_F(TransferTest, OtherBytesThanAnnouncedAreRefused) {
  Begin();
  const v1::BeginUploadResponse begun = MustBegin(client_->MakeUpdate());
  v1::UploadUpdateResponse done;
  ASSERT_TRUE(client_->Upload(begun.ticket().upload_id(), client_->MakeUpdate(0.25f), 0, &done).ok());
  EXPECT_EQ(done.rejected().code(), "wrong_digest");
}

TEST_F(TransferTest, MoreBytesThanAnnouncedAreRefused) {
  Begin();
  const std::string update = client_->MakeUpdate();
  const v1::BeginUploadResponse begun = MustBegin(update);
  v1::UploadUpdateResponse done;
  ASSERT_TRUE(client_->Upload(begun.ticket().upload_id(), update + update, 0, &done).ok());
  EXPECT_EQ(done.rejected().code(), "wrong_shape");
}

TEST_F(TransferTest, AnUploadThatWasNotAnnouncedIsNotFound) {
  Begin();
  v1::UploadUpdateResponse done;
  for (const char* id : {"", "../ledger.db", "0123"}) {
    EXPECT_EQ(client_->Upload(id, client_->MakeUpdate(), 0, &done).error_code(), grpc::StatusCode::NOT_FOUND) << id;
  }
}

TEST_F(TransferTest, AnUploadGoesOnFromWhereItWasCut) {
  Begin(kLarge);
  const std::string update = client_->MakeUpdate();
  const v1::BeginUploadResponse begun = MustBegin(update);
  CutAfterFirstChunk(begun.ticket().upload_id(), update);
  const v1::BeginUploadResponse again = MustBegin(update);
  ASSERT_EQ(again.ticket().offset(), static_cast<uint64_t>(rpc::kChunkBytes));
  v1::UploadUpdateResponse done;
  ASSERT_TRUE(client_->Upload(again.ticket().upload_id(), update, again.ticket().offset(), &done).ok());
  EXPECT_TRUE(done.has_receipt()) << done.ShortDebugString();
}

TEST_F(TransferTest, AnUploadGoesOnAfterARestartOfTheCoordinator) {
  Begin(kLarge);
  const std::string update = client_->MakeUpdate();
  CutAfterFirstChunk(MustBegin(update).ticket().upload_id(), update);
  client_->Close();
  RestartCoordinator();
  client_->Reconnect();

  v1::Hello hello = client_->MakeHello();
  v1::HeldTask* held = hello.add_held();
  held->set_task_id(task_.task_id());
  held->set_state(v1::HeldTask::FINISHED);
  held->set_update_sha256(crypto::Sha256Hex(update));
  v1::Welcome welcome;
  ASSERT_TRUE(client_->Open(hello, &welcome).ok());
  ASSERT_EQ(welcome.verdicts_size(), 1);
  EXPECT_EQ(welcome.verdicts(0).action(), v1::TaskVerdict::UPLOAD) << welcome.ShortDebugString();

  const v1::BeginUploadResponse again = MustBegin(update);
  ASSERT_EQ(again.ticket().offset(), static_cast<uint64_t>(rpc::kChunkBytes)) << again.ShortDebugString();
  v1::UploadUpdateResponse done;
  ASSERT_TRUE(client_->Upload(again.ticket().upload_id(), update, again.ticket().offset(), &done).ok());
  EXPECT_TRUE(done.has_receipt()) << done.ShortDebugString();
}

TEST_F(TransferTest, BytesDamagedInBetweenAreSentAgainNotRefused) {
  Begin(kLarge);
  const std::string update = client_->MakeUpdate();
  const std::string id = MustBegin(update).ticket().upload_id();
  CutAfterFirstChunk(id, update);
  directory_.Write("partial/" + id, std::string(rpc::kChunkBytes, '\0'));  // as a power cut may leave it
  RestartCoordinator();
  const v1::BeginUploadResponse resumed = MustBegin(update);
  v1::UploadUpdateResponse done;
  EXPECT_EQ(client_->Upload(id, update, resumed.ticket().offset(), &done).error_code(), grpc::StatusCode::ABORTED);
  const v1::BeginUploadResponse fresh = MustBegin(update);
  EXPECT_EQ(fresh.ticket().offset(), 0u);
  ASSERT_TRUE(client_->Upload(id, update, 0, &done).ok());
  EXPECT_TRUE(done.has_receipt()) << done.ShortDebugString();
}

TEST_F(TransferTest, RefusedAnnouncementsCannotFillTheAudit) {
  Begin();
  v1::TrainTask unknown = task_;
  unknown.set_task_id("no-such-task");
  const v1::BeginUploadRequest request = client_->Announce(unknown, client_->MakeUpdate());
  for (int i = 0; i < 120; ++i) {
    v1::BeginUploadResponse begun;
    ASSERT_TRUE(client_->BeginUpload(request, &begun).ok());
    ASSERT_EQ(begun.rejected().code(), "not_invited");
  }
  RestartCoordinator();  // a stop tells what was left out
  v1::ListAuditRequest list;
  list.set_limit(1000);
  v1::AuditList audit;
  ASSERT_TRUE(op().ListAudit(MakeContext().get(), list, &audit).ok());
  int written = 0, left_out = 0;
  for (const v1::AuditEntry& entry : audit.entries()) {
    if (entry.action() == "update.upload") ++written;
    if (entry.action() == "rows.left_out" && entry.subject() == "client/berlin") left_out += std::stoi(entry.outcome());
  }
  EXPECT_GE(written, 100);
  EXPECT_GT(left_out, 0);
  EXPECT_EQ(written + left_out, 120);
}

// ---- slots

TEST_F(TransferTest, ASilentUploadLosesItsPlaceAndGoesOnLater) {
  coordinator_.reset();
  options_.upload_silence = absl::Milliseconds(200);
  StartCoordinator();
  Begin(kLarge);
  const std::string update = client_->MakeUpdate();
  const std::string id = MustBegin(update).ticket().upload_id();
  for (const bool with_a_chunk : {false, true}) {
    SCOPED_TRACE(with_a_chunk);
    const auto context = MakeContext();
    v1::UploadUpdateResponse none;
    const auto writer = client_->stub().UploadUpdate(context.get(), &none);
    v1::UploadChunk chunk;
    chunk.set_upload_id(id);
    chunk.set_data(update.substr(0, rpc::kChunkBytes));
    if (with_a_chunk) {
      ASSERT_TRUE(writer->Write(chunk));
    }
    const grpc::Status ended = writer->Finish();  // without a word from us
    EXPECT_EQ(ended.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << ended.error_message();
    EXPECT_THAT(ended.error_message(), ::testing::HasSubstr("announce it again"));
  }
  const v1::BeginUploadResponse again = MustBegin(update);
  EXPECT_EQ(again.ticket().offset(), static_cast<uint64_t>(rpc::kChunkBytes)) << "what came is kept";
  v1::UploadUpdateResponse done;
  ASSERT_TRUE(client_->Upload(id, update, again.ticket().offset(), &done).ok());
  EXPECT_TRUE(done.has_receipt()) << done.ShortDebugString();
}

TEST_F(TransferTest, OneClientCannotTakeThePlacesOfAll) {
  client_ = Enrol("berlin");
  const auto other = Enrol("paris");
  client_->MustOpen();
  other->MustOpen();
  run_ = MustStartRun(MakePlan({}, 2));
  task_ = client_->NextTask();
  struct Silent {
    std::unique_ptr<grpc::ClientContext> context = MakeContext();
    v1::UploadUpdateResponse response;
    std::unique_ptr<grpc::ClientWriter<v1::UploadChunk>> writer;
  };
  std::vector<Silent> silent(2);
  for (Silent& s : silent) s.writer = client_->stub().UploadUpdate(s.context.get(), &s.response);
  while (MustBegin(client_->MakeUpdate()).ticket().retry_after_ms() == 0) std::this_thread::yield();  // both are in
  v1::UploadUpdateResponse none;
  const grpc::Status third = client_->Upload("any", client_->MakeUpdate(), 0, &none);
  EXPECT_EQ(third.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << third.error_message();
  EXPECT_TRUE(other->MustUpload(other->NextTask(), other->MakeUpdate()).has_record());

  for (Silent& s : silent) {  // hanging up gives the places back
    s.context->TryCancel();
    s.writer->Finish();
  }
  while (MustBegin(client_->MakeUpdate()).ticket().retry_after_ms() != 0) std::this_thread::yield();
  EXPECT_TRUE(client_->MustUpload(task_, client_->MakeUpdate()).has_record());
}

TEST_F(TransferTest, AnUpdateForAStoppedRunIsNotNeeded) {
  Begin();
  v1::StopRunRequest stop;
  stop.set_run(run_);
  v1::RunDocument stopped;
  ASSERT_TRUE(op().StopRun(MakeContext().get(), stop, &stopped).ok());
  const v1::BeginUploadResponse begun = MustBegin(client_->MakeUpdate());
  EXPECT_TRUE(begun.has_not_needed()) << begun.ShortDebugString();
  std::string bytes;
  EXPECT_EQ(client_->Download(task_.task_id(), 0, &bytes).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(TransferTest, RevocationCutsAnUploadUnderWay) {
  Begin(kLarge);
  const std::string update = client_->MakeUpdate();
  const std::string id = MustBegin(update).ticket().upload_id();
  const auto context = MakeContext();
  v1::UploadUpdateResponse none;
  const auto writer = client_->stub().UploadUpdate(context.get(), &none);
  v1::UploadChunk chunk;
  chunk.set_upload_id(id);
  chunk.set_data(update.substr(0, rpc::kChunkBytes));
  ASSERT_TRUE(writer->Write(chunk));
  const std::string file = directory_.File("partial/" + id);
  std::error_code error;
  while (std::filesystem::file_size(file, error) != static_cast<uint64_t>(rpc::kChunkBytes)) std::this_thread::yield();
  v1::RevokeClientRequest revoke;
  revoke.set_name("berlin");
  v1::ClientDocument document;
  ASSERT_TRUE(op().RevokeClient(MakeContext().get(), revoke, &document).ok());
  EXPECT_FALSE(writer->Finish().ok());  // without a word from us
  v1::BeginUploadResponse begun;
  EXPECT_EQ(client_->BeginUpload(client_->Announce(task_, update), &begun).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
}

}  // namespace
}  // namespace tributary::service
