#include "client/session/uploader.h"

#include <atomic>
#include <map>

#include <gtest/gtest.h>

#include "client/session/task_check.h"
#include "tests/client/session/client_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::session {
namespace {

// A client that has finished round 1 and was started again.
class UploaderTest : public ClientFixture {
 protected:
  UploaderTest() : task_(federation_.Task(1)), entry_(federation_.Entry(task_, "the update")) {
    TRB_CHECK(ledger_->AddTask(task_, TaskState::kQueued, {}, 1).ok());
    TRB_CHECK(outbox_->Put(entry_, "the update").ok());
    OpenStores();
    AcceptUploads(task_);
  }
  ~UploaderTest() override { StopAll(); }  // before what the threads read is gone
  void GoOnline() {
    ASSERT_OK(board_->Online(link_.welcome, [](v1::ClientMessage) {}));
  }
  std::map<std::string, SentRow> Sent() {
    std::map<std::string, SentRow> rows;
    EXPECT_OK(ledger_->ListSent([&rows](const SentRow& row) {
      rows[row.kind] = row;
      return absl::OkStatus();
    }));
    return rows;
  }
  // Answers BeginUpload with this and nothing else.
  template <class Fill>
  void AnswerBegin(Fill fill) {
    link_.on_begin = [fill](const v1::BeginUploadRequest&) {
      v1::BeginUploadResponse response;
      fill(&response);
      return response;
    };
  }

  const v1::TrainTask task_;
  const OutboxEntry entry_;
};

TEST_F(UploaderTest, NothingLeavesBeforeTheSessionIsOpen) {
  StartUploading();
  clock_.AwaitWaiters(1);
  EXPECT_TRUE(Sent().empty());
  GoOnline();
  EXPECT_EQ("the update", AwaitUpload(1));
}

TEST_F(UploaderTest, AReceiptClearsTheOutboxAndIsKept) {
  GoOnline();
  StartUploading();
  AwaitIdle();
  EXPECT_EQ(TaskState::kDone, Row(task_).state);
  EXPECT_TRUE(ledger_->ListOutbox().value().empty());
  const auto sent = Sent();
  ASSERT_EQ(2u, sent.size());
  EXPECT_EQ("receipted", sent.at("delta").outcome);
  EXPECT_EQ(entry_.record.update_sha256(), sent.at("delta").sha256);
  EXPECT_EQ(10u, sent.at("delta").bytes);
  v1::Receipt receipt;
  ASSERT_TRUE(receipt.ParseFromString(sent.at("delta").receipt));
  EXPECT_OK(CheckReceipt(receipt, entry_.record, task_));
}

TEST_F(UploaderTest, AReceiptThatComesWithBeginNeedsNoBytes) {
  AnswerBegin([this](auto* r) { *r->mutable_receipt() = federation_.ReceiptFor(entry_.record, task_); });
  GoOnline();
  StartUploading();
  AwaitIdle();
  EXPECT_EQ(TaskState::kDone, Row(task_).state);
  EXPECT_EQ(0u, Sent().count("delta"));
}

TEST_F(UploaderTest, AForgedReceiptClearsNothing) {
  AnswerBegin([this](auto* r) {
    *r->mutable_receipt() = federation_.ReceiptFor(entry_.record, task_);
    r->mutable_receipt()->set_accepted_unix_ms(1);
  });
  GoOnline();
  StartUploading();
  clock_.AwaitWaiters(1);
  EXPECT_EQ(TaskState::kFinished, Row(task_).state);
  EXPECT_OK(outbox_->ReadBytes(entry_));
}

TEST_F(UploaderTest, NotNeededIsANormalEnd) {
  AnswerBegin([](auto* r) { r->mutable_not_needed()->set_code("late"); });
  GoOnline();
  StartUploading();
  AwaitIdle();
  EXPECT_EQ(TaskState::kDropped, Row(task_).state);
  EXPECT_EQ("late", Row(task_).code);
  EXPECT_EQ("not_needed", Sent().at("metrics").outcome);
}

TEST_F(UploaderTest, ARefusedUpdateIsNeverSentAgain) {
  AnswerBegin([](auto* r) { r->mutable_rejected()->set_code("bad_signature"); });
  GoOnline();
  StartUploading();
  AwaitIdle();
  EXPECT_EQ(TaskState::kRejected, Row(task_).state);
  EXPECT_EQ("rejected: bad_signature", Sent().at("metrics").outcome);
}

TEST_F(UploaderTest, ALongReasonOfARefusalIsCut) {
  AnswerBegin([](auto* r) {
    r->mutable_rejected()->set_code(std::string(1 << 20, 'c'));
    r->mutable_rejected()->set_reason(std::string(1 << 20, 'r'));
  });
  GoOnline();
  StartUploading();
  AwaitIdle();
  EXPECT_EQ(64u, Row(task_).code.size());
  EXPECT_EQ(500u, Row(task_).reason.size());
}

TEST_F(UploaderTest, ATaskThatIsGoneIsDropped) {
  link_.on_begin = [](const v1::BeginUploadRequest&) -> absl::StatusOr<v1::BeginUploadResponse> {
    return absl::NotFoundError("gone");
  };
  GoOnline();
  StartUploading();
  AwaitIdle();
  EXPECT_EQ(TaskState::kDropped, Row(task_).state);
}

TEST_F(UploaderTest, ItComesBackWhenToldAndNotBefore) {
  std::atomic<int> begun{0};
  const auto accept = link_.on_begin;
  link_.on_begin = [&](const v1::BeginUploadRequest& request) -> absl::StatusOr<v1::BeginUploadResponse> {
    absl::StatusOr<v1::BeginUploadResponse> response = accept(request);
    if (begun++ == 0) response->mutable_ticket()->set_retry_after_ms(60'000);
    return response;
  };
  GoOnline();
  StartUploading();
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Seconds(59));
  clock_.AwaitWaiters(1);
  EXPECT_EQ(1, begun);
  clock_.Advance(absl::Seconds(2));
  AwaitIdle();
  EXPECT_EQ(2, begun);
  EXPECT_EQ(TaskState::kDone, Row(task_).state);
}

TEST_F(UploaderTest, ACutUploadBeginsAgainAndIsCounted) {
  std::atomic<int> cuts{1};
  const auto accept = link_.on_upload;
  link_.on_upload = [&](const v1::UploadTicket& ticket,
                        std::string_view bytes) -> absl::StatusOr<v1::UploadUpdateResponse> {
    if (cuts-- > 0) return absl::UnavailableError("cut");
    return accept(ticket, bytes);
  };
  GoOnline();
  StartUploading();
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Minutes(5));
  AwaitIdle();
  EXPECT_EQ(TaskState::kDone, Row(task_).state);
  EXPECT_EQ(2u, Sent().at("delta").times);
}

TEST_F(UploaderTest, LostBytesAreTrainedAgain) {
  dir_.Write("outbox/" + task_.task_id(), "damaged...");
  GoOnline();
  StartUploading();
  AwaitState(task_, TaskState::kQueued);
  StartTraining();
  AwaitIdle();
  EXPECT_EQ(TaskState::kDone, Row(task_).state);
}

TEST_F(UploaderTest, AfterARenewalItIsSignedAfresh) {
  OutboxEntry old = entry_;
  old.record.set_certificate_sha256(std::string(64, 'a'));
  old.signature = "of the old key";
  ASSERT_OK(ledger_->ReplaceSignature(old));
  GoOnline();
  StartUploading();
  AwaitIdle();
  const MutexLock lock(&mu_);
  EXPECT_EQ(federation_.ClientSigner().certificate.sha256(), begun_[0].record().certificate_sha256());
}

}  // namespace
}  // namespace tributary::session
