// An enrolled client that sends what it may not, over real mutual TLS: each thing is refused by its code and recorded,
// the coordinator goes on, and the others' round commits.
#include <gmock/gmock.h>
#include <google/protobuf/unknown_field_set.h>

#include <functional>

#include "common/rpc/limits.h"
#include "common/update/update_codec.h"
#include "tests/server/service/federation_fixture.h"

namespace tributary::service {
namespace {

using ::testing::HasSubstr;
using Code = grpc::StatusCode;

constexpr ModelSize kLarge{1000, 200};  // 200,200 parameters: four chunks
constexpr uint64_t kNegative = uint64_t{1} << 63;
const std::string kNobodys(64, 'b');

class HostileClientTest : public FederationTest {
 protected:
  // A run of two: one honest, one not. Both have their tasks.
  void Begin() {
    honest_ = Enrol("berlin", kLarge);
    hostile_ = Enrol("mallory", kLarge);
    honest_->MustOpen();
    hostile_->MustOpen();
    run_ = MustStartRun(MakePlan(kLarge, 2));
    honest_task_ = honest_->NextTask();
    hostile_task_ = hostile_->NextTask();
  }

  // The rows of the audit that a refused message left, newest first.
  std::vector<std::string> Refusals() {
    v1::ListAuditRequest request;
    request.set_limit(1000);
    v1::AuditList list;
    EXPECT_TRUE(op().ListAudit(MakeContext().get(), request, &list).ok());
    std::vector<std::string> out;
    for (const v1::AuditEntry& e : list.entries()) {
      if (e.actor() == "client/mallory" && e.action() == "message.refused") out.push_back(e.outcome());
    }
    return out;
  }

  // The round goes on as if nothing had happened: two updates, a new model, a history that verifies.
  void ExpectTheRoundCommits() {
    EXPECT_TRUE(honest_->MustUpload(honest_task_, honest_->MakeUpdate(0.25f)).has_record());
    EXPECT_TRUE(hostile_->MustUpload(hostile_task_, hostile_->MakeUpdate(0.5f)).has_record());
    honest_task_ = honest_->NextTask();
    const v1::RunDocument document = GetRun(run_);
    EXPECT_EQ(document.rounds(0).state(), "committed");
    EXPECT_EQ(document.rounds(0).accepted(), 2u);
    v1::VerifyHistoryRequest verify;
    verify.set_run(run_);
    v1::HistoryVerification verified;
    ASSERT_TRUE(op().VerifyHistory(MakeContext().get(), verify, &verified).ok());
    EXPECT_TRUE(verified.ok()) << verified.ShortDebugString();
  }

  // Sends it in the hostile client's session; what the session ended with.
  grpc::Status Send(const v1::ClientMessage& message) {
    hostile_->Close();
    hostile_->MustOpen();
    hostile_->Write(message);
    v1::CoordinatorMessage none;
    while (hostile_->Read(&none)) {
    }
    return hostile_->Finish();
  }

  grpc::Status SendChunks(const std::vector<v1::UploadChunk>& chunks, v1::UploadUpdateResponse* response) {
    const auto context = MakeContext();
    const auto writer = hostile_->stub().UploadUpdate(context.get(), response);
    for (const v1::UploadChunk& chunk : chunks) {
      if (!writer->Write(chunk)) break;
    }
    writer->WritesDone();
    return writer->Finish();
  }

  std::unique_ptr<ScriptedClient> honest_, hostile_;
  std::string run_;
  v1::TrainTask honest_task_, hostile_task_;
};

struct BadHello {
  const char* name;
  const char* says;  // names the field
  std::function<void(v1::Hello*)> spoil;
};

const BadHello kBadHellos[] = {
    {"terminal codes in a class name", "hello.dataset.classes[0]",
     [](v1::Hello* h) { h->mutable_dataset()->add_classes("\x1b]0;owned\a"); }},
    {"more examples than can be", "hello.dataset.examples",
     [](v1::Hello* h) { h->mutable_dataset()->set_examples(kNegative); }},
    {"a shape whose product overflows", "shape is out of range",
     [](v1::Hello* h) {
       h->mutable_dataset()->clear_shape();
       for (int i = 0; i < 3; ++i) h->mutable_dataset()->add_shape(1u << 28);
     }},
    {"a shape with a nought", "hello.dataset.shape[1]", [](v1::Hello* h) { h->mutable_dataset()->add_shape(0); }},
    {"too many classes", "hello.dataset.num_classes",
     [](v1::Hello* h) { h->mutable_dataset()->set_num_classes(65537); }},
    {"a long version", "hello.version", [](v1::Hello* h) { h->set_version(std::string(65, 'v')); }},
    {"a line end in the engine", "hello.engine", [](v1::Hello* h) { h->set_engine("x\nlevel event=forged"); }},
    {"too many tasks", "hello.held",
     [](v1::Hello* h) {
       for (int i = 0; i < 65; ++i) h->add_held()->set_task_id(kNobodys);
     }},
    {"a task with a path for an id", "hello.held[0].task_id",
     [](v1::Hello* h) { h->add_held()->set_task_id("../../ledger.db"); }},
    {"a state that is none", "hello.held[0].state",
     [](v1::Hello* h) {
       h->add_held()->set_task_id(kNobodys);
       h->mutable_held(0)->set_state(static_cast<v1::HeldTask::State>(99));
     }},
    {"a round below nought", "hello.heads[0].round",
     [](v1::Hello* h) {
       h->add_heads()->set_run_id("r-1");
       h->mutable_heads(0)->set_round(kNegative);
     }},
    {"much that nobody knows", "unknown fields",
     [](v1::Hello* h) { h->GetReflection()->MutableUnknownFields(h)->AddLengthDelimited(77, std::string(5000, 'x')); }},
};

TEST_F(HostileClientTest, EveryBadHelloIsRefusedByItsFieldAndAudited) {
  Begin();
  for (const BadHello& bad : kBadHellos) {
    SCOPED_TRACE(bad.name);
    v1::Hello hello = hostile_->MakeHello();
    bad.spoil(&hello);
    hostile_->Close();
    const grpc::Status refused = hostile_->Open(hello);
    EXPECT_EQ(refused.error_code(), Code::INVALID_ARGUMENT) << refused.error_message();
    EXPECT_THAT(refused.error_message(), HasSubstr(bad.says));
  }
  const std::vector<std::string> rows = Refusals();
  ASSERT_EQ(rows.size(), std::size(kBadHellos));
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_THAT(rows[rows.size() - 1 - i], HasSubstr(kBadHellos[i].says));
  hostile_->MustOpen();
  ExpectTheRoundCommits();
}

struct BadMessage {
  const char* name;
  std::function<void(v1::ClientMessage*)> make;
};

const BadMessage kBadMessages[] = {
    {"an answer for a path", [](v1::ClientMessage* m) { m->mutable_answer()->set_task_id("../x"); }},
    {"an answer with a reason without end",
     [](v1::ClientMessage* m) {
       m->mutable_answer()->set_task_id(kNobodys);
       m->mutable_answer()->set_reason(std::string(100'000, 'r'));
     }},
    {"an answer with terminal codes for a code",
     [](v1::ClientMessage* m) {
       m->mutable_answer()->set_task_id(kNobodys);
       m->mutable_answer()->set_code("\x1b[2J");
     }},
    {"progress of no state", [](v1::ClientMessage* m) { m->mutable_progress()->set_task_id(kNobodys); }},
    {"progress of an unknown state",
     [](v1::ClientMessage* m) {
       m->mutable_progress()->set_task_id(kNobodys);
       m->mutable_progress()->set_state(static_cast<v1::HeldTask::State>(-1));
     }},
    {"steps below nought",
     [](v1::ClientMessage* m) {
       m->mutable_progress()->set_task_id(kNobodys);
       m->mutable_progress()->set_state(v1::HeldTask::TRAINING);
       m->mutable_progress()->set_steps_done(kNegative);
     }},
    {"a second hello", [](v1::ClientMessage* m) { m->mutable_hello()->set_protocol_version(1); }},
};

TEST_F(HostileClientTest, EveryBadMessageEndsItsSessionOnly) {
  Begin();
  for (const BadMessage& bad : kBadMessages) {
    SCOPED_TRACE(bad.name);
    v1::ClientMessage message;
    bad.make(&message);
    const grpc::Status ended = Send(message);
    EXPECT_EQ(ended.error_code(), Code::INVALID_ARGUMENT) << ended.error_message();
  }
  hostile_->MustOpen();
  ExpectTheRoundCommits();
}

TEST_F(HostileClientTest, WordsAboutAnotherClientsTaskChangeNothing) {
  Begin();
  v1::ClientMessage decline, progress;
  decline.mutable_answer()->set_task_id(honest_task_.task_id());
  decline.mutable_answer()->set_code("policy");
  progress.mutable_progress()->set_task_id(honest_task_.task_id());
  progress.mutable_progress()->set_state(v1::HeldTask::FINISHED);
  hostile_->Write(decline);
  hostile_->Write(progress);
  v1::ClientMessage again;  // ends the session, behind the two
  *again.mutable_hello() = hostile_->MakeHello();
  hostile_->Write(again);
  v1::CoordinatorMessage none;
  while (hostile_->Read(&none)) {
  }
  EXPECT_EQ(hostile_->Finish().error_code(), Code::INVALID_ARGUMENT);
  const v1::RunDocument document = GetRun(run_, true);
  for (const v1::Contribution& row : document.contributions()) EXPECT_EQ(row.state(), "accepted_task");
  hostile_->MustOpen();
  ExpectTheRoundCommits();
}

TEST_F(HostileClientTest, ADownloadIsOfAnOwnTaskAndFromAPossibleOffset) {
  Begin();
  std::string bytes;
  EXPECT_EQ(hostile_->Download("../../ledger.db", 0, &bytes).error_code(), Code::INVALID_ARGUMENT);
  EXPECT_EQ(hostile_->Download(hostile_task_.task_id(), kNegative, &bytes).error_code(), Code::INVALID_ARGUMENT);
  EXPECT_EQ(hostile_->Download(hostile_task_.task_id(), kNegative - 1, &bytes).error_code(), Code::OUT_OF_RANGE);
  EXPECT_EQ(hostile_->Download(kNobodys, 0, &bytes).error_code(), Code::NOT_FOUND);
  EXPECT_EQ(hostile_->Download(honest_task_.task_id(), 0, &bytes).error_code(), Code::PERMISSION_DENIED);
  EXPECT_EQ(bytes, "");
  ExpectTheRoundCommits();
}

TEST_F(HostileClientTest, AnotherClientsAnnouncementAndUploadAreOfNoUse) {
  Begin();
  const std::string update = honest_->MakeUpdate(0.25f);
  const v1::BeginUploadRequest signed_by_honest = honest_->Announce(honest_task_, update);
  v1::BeginUploadResponse begun;
  ASSERT_TRUE(honest_->BeginUpload(signed_by_honest, &begun).ok());
  const std::string upload_id = begun.ticket().upload_id();
  ASSERT_TRUE(hostile_->BeginUpload(signed_by_honest, &begun).ok());  // replayed
  EXPECT_EQ(begun.rejected().code(), "not_invited");
  v1::UploadUpdateResponse done;
  EXPECT_EQ(hostile_->Upload(upload_id, update, 0, &done).error_code(), Code::NOT_FOUND);
  // Under the own task, with the other's signature and certificate.
  v1::BeginUploadRequest stolen = hostile_->Announce(hostile_task_, update);
  stolen.mutable_record()->set_certificate_sha256(signed_by_honest.record().certificate_sha256());
  stolen.set_signature(signed_by_honest.signature());
  ASSERT_TRUE(hostile_->BeginUpload(stolen, &begun).ok());
  EXPECT_EQ(begun.rejected().code(), "bad_signature");
  EXPECT_TRUE(honest_->MustUpload(honest_task_, update).has_record());
}

TEST_F(HostileClientTest, ChunksOutOfOrderAreRefusedAndTheUploadGoesOn) {
  Begin();
  const std::string update = hostile_->MakeUpdate(0.5f);
  v1::BeginUploadResponse begun;
  ASSERT_TRUE(hostile_->BeginUpload(hostile_->Announce(hostile_task_, update), &begun).ok());
  const auto chunk = [&](uint64_t offset, size_t size) {
    v1::UploadChunk c;
    c.set_upload_id(begun.ticket().upload_id());
    c.set_offset(offset);
    c.set_data(offset < update.size() ? update.substr(offset, size) : std::string(size, 'x'));
    return c;
  };
  constexpr size_t kWhole = static_cast<size_t>(rpc::kChunkBytes);
  v1::UploadUpdateResponse done;
  EXPECT_EQ(SendChunks({chunk(0, kWhole + 1)}, &done).error_code(), Code::INVALID_ARGUMENT) << "too large a chunk";
  EXPECT_EQ(SendChunks({chunk(kNegative, 4)}, &done).error_code(), Code::INVALID_ARGUMENT) << "an impossible offset";
  EXPECT_EQ(SendChunks({chunk(4, 4)}, &done).error_code(), Code::ABORTED) << "not the first";
  EXPECT_EQ(SendChunks({chunk(0, 4), chunk(0, 4)}, &done).error_code(), Code::ABORTED) << "the same again";
  EXPECT_EQ(SendChunks({chunk(4, 4), chunk(12, 4)}, &done).error_code(), Code::ABORTED) << "one left out";
  EXPECT_EQ(SendChunks({chunk(8, 4)}, &done).error_code(), Code::ABORTED) << "and then the end";
  EXPECT_EQ(SendChunks({}, &done).error_code(), Code::ABORTED) << "nothing at all";
  ExpectTheRoundCommits();  // from the offset that is there
}

TEST_F(HostileClientTest, WhatASignedRecordDoesNotCoverIsNotKept) {
  Begin();
  const std::string update = hostile_->MakeUpdate(0.5f);
  v1::BeginUploadRequest request = hostile_->Announce(hostile_task_, update);
  v1::UpdateRecord* record = request.mutable_record();
  record->GetReflection()->MutableUnknownFields(record)->AddLengthDelimited(77, std::string(500'000, 'x'));
  v1::BeginUploadResponse begun;
  ASSERT_TRUE(hostile_->BeginUpload(request, &begun).ok());
  ASSERT_TRUE(begun.has_ticket()) << begun.ShortDebugString();
  v1::UploadUpdateResponse done;
  ASSERT_TRUE(hostile_->Upload(begun.ticket().upload_id(), update, 0, &done).ok());
  EXPECT_LT(done.receipt().record().ByteSizeLong(), 2000u);
}

TEST_F(HostileClientTest, ACertificateRequestHasASize) {
  Begin();
  v1::RenewRequest request;
  request.set_csr_pem(std::string(4097, 'x'));
  v1::RenewResponse response;
  const grpc::Status refused = hostile_->stub().Renew(MakeContext().get(), request, &response);
  EXPECT_EQ(refused.error_code(), Code::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("csr_pem"));
}

TEST_F(HostileClientTest, QuotasHoldOneClientAndNobodyElse) {
  Begin();
  hostile_->Close();
  honest_->Close();
  coordinator_.reset();
  SetLimits("sessions_a_minute = 3\ncalls_a_second = 10\nmessages_a_second = 5\ndownloads = 1\n");
  StartCoordinator();
  honest_->Reconnect();
  hostile_->Reconnect();
  honest_->MustOpen();

  // Calls: 40 at once, and no more.
  int refused = 0;
  std::string bytes;
  for (int i = 0; i < 60; ++i) {
    const grpc::Status status = hostile_->Download(kNobodys, 0, &bytes);
    if (status.error_code() != Code::RESOURCE_EXHAUSTED) continue;
    ++refused;
    EXPECT_THAT(status.error_message(), HasSubstr("try again in"));
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 21);
  EXPECT_TRUE(honest_->Download(honest_task_.task_id(), 0, &bytes).ok()) << "the honest one does not feel it";

  // One row for all of them.
  v1::ListAuditRequest request;
  v1::AuditList list;
  int rows = 0;
  do {
    ASSERT_TRUE(op().ListAudit(MakeContext().get(), request, &list).ok());
    rows = 0;
    for (const v1::AuditEntry& e : list.entries()) rows += e.actor() == "client/mallory" && e.action() == "quota";
  } while (rows == 0);
  EXPECT_EQ(rows, 1);
}

TEST_F(HostileClientTest, AFloodOfMessagesEndsItsSession) {
  Begin();
  coordinator_.reset();
  SetLimits("messages_a_second = 5\n");
  StartCoordinator();
  hostile_->Reconnect();
  hostile_->MustOpen();
  v1::ClientMessage beat;
  beat.mutable_heartbeat()->set_sequence(1);
  for (int i = 0; i < 1000 && hostile_->Write(beat); ++i) {
  }
  v1::CoordinatorMessage none;
  while (hostile_->Read(&none)) {
  }
  const grpc::Status ended = hostile_->Finish();
  EXPECT_EQ(ended.error_code(), Code::RESOURCE_EXHAUSTED) << ended.error_message();
}

TEST_F(HostileClientTest, SessionsOpenedTooOftenAreRefused) {
  Begin();
  coordinator_.reset();
  SetLimits("sessions_a_minute = 3\n");
  StartCoordinator();
  hostile_->Reconnect();
  grpc::Status last;
  for (int i = 0; i < 5 && last.ok(); ++i) {
    hostile_->Close();
    last = hostile_->Open(hostile_->MakeHello());
  }
  EXPECT_EQ(last.error_code(), Code::RESOURCE_EXHAUSTED) << last.error_message();
}

}  // namespace
}  // namespace tributary::service
