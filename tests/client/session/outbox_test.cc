#include "client/session/outbox.h"

#include <gtest/gtest.h>

#include "common/base/files.h"
#include "tests/client/session/test_federation.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::session {
namespace {

using testing::StatusIs;

// Each test does a step or leaves what a crash after it leaves, and opens the directory again.
class OutboxTest : public ::testing::Test {
 protected:
  OutboxTest() : task_(federation_.Task(1)), entry_(federation_.Entry(task_, kBytes)) {
    Reopen();
    TRB_CHECK(ledger_->AddTask(task_, TaskState::kQueued, {}, 1).ok());
    TRB_CHECK(ledger_->SetTaskState(task_.task_id(), TaskState::kTraining).ok());
  }
  void Reopen() {
    outbox_.reset();
    ledger_.reset();
    ledger_ = ClientLedger::Open(dir_.path()).value();
    outbox_ = Outbox::Open(dir_.path(), ledger_.get()).value();
  }
  TaskState State() { return ledger_->FindTask(task_.task_id()).value()->state; }
  std::string Path() const { return dir_.File("outbox/" + task_.task_id()); }

  static constexpr char kBytes[] = "the update";
  const testing::TempDir dir_;
  const TestFederation federation_;
  const v1::TrainTask task_;
  const OutboxEntry entry_;
  std::unique_ptr<ClientLedger> ledger_;
  std::unique_ptr<Outbox> outbox_;
};

TEST_F(OutboxTest, KilledWhileTrainingTheTaskIsHeldAndNothingIsInTheOutbox) {
  Reopen();
  EXPECT_EQ(TaskState::kTraining, State());
  EXPECT_TRUE(ledger_->ListOutbox().value().empty());
}

TEST_F(OutboxTest, KilledAfterTheFileTheTaskIsTrainedAgain) {
  ASSERT_OK(WriteFileDurably(Path(), kBytes, 0600));
  Reopen();
  EXPECT_EQ(TaskState::kTraining, State());
  EXPECT_FALSE(FileExists(Path())) << "a file without a row stays for ever";
}

TEST_F(OutboxTest, WhatTheLedgerDoesNotTakeLeavesNoFile) {
  ASSERT_OK(ledger_->CloseTask(task_.task_id(), TaskState::kDone, {}, "", 5));  // cancelled meanwhile
  EXPECT_THAT(outbox_->Put(entry_, kBytes), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(FileExists(Path())) << "until the next start";
}

TEST_F(OutboxTest, KilledWithinTheFileItsPieceIsRemoved) {
  dir_.Write("outbox/" + task_.task_id() + ".tmp-1-2", "the up");
  Reopen();
  EXPECT_FALSE(FileExists(Path() + ".tmp-1-2"));
}

TEST_F(OutboxTest, KilledAfterTheRowTheUpdateIsThere) {
  ASSERT_OK(outbox_->Put(entry_, kBytes));
  Reopen();
  EXPECT_EQ(TaskState::kFinished, State());
  EXPECT_EQ(kBytes, outbox_->ReadBytes(entry_).value());
}

TEST_F(OutboxTest, KilledBetweenReceiptAndRemovalTheFileGoesAtTheNextStart) {
  ASSERT_OK(outbox_->Put(entry_, kBytes));
  ASSERT_OK(ledger_->CloseTask(task_.task_id(), TaskState::kDone, {}, "receipt", 5));
  EXPECT_TRUE(FileExists(Path()));
  Reopen();
  EXPECT_FALSE(FileExists(Path()));
  EXPECT_EQ(TaskState::kDone, State());
}

TEST_F(OutboxTest, ClosedItIsGoneForGood) {
  ASSERT_OK(outbox_->Put(entry_, kBytes));
  ASSERT_OK(outbox_->Close(entry_, TaskState::kDone, {}, "receipt", 5));
  EXPECT_FALSE(FileExists(Path()));
  Reopen();
  EXPECT_EQ(TaskState::kDone, State());
  EXPECT_TRUE(ledger_->ListOutbox().value().empty());
}

TEST_F(OutboxTest, DamagedBytesAreNeverGivenOut) {
  ASSERT_OK(outbox_->Put(entry_, kBytes));
  dir_.Write("outbox/" + task_.task_id(), "the Update");
  EXPECT_THAT(outbox_->ReadBytes(entry_), StatusIs(absl::StatusCode::kDataLoss, ::testing::HasSubstr(task_.task_id())));
}

TEST_F(OutboxTest, WithDamagedBytesTheTaskIsQueuedAgainAtTheNextStart) {
  ASSERT_OK(outbox_->Put(entry_, kBytes));
  dir_.Write("outbox/" + task_.task_id(), "the Update");
  Reopen();
  EXPECT_EQ(TaskState::kQueued, State());
  EXPECT_TRUE(ledger_->ListOutbox().value().empty());
  ASSERT_OK(outbox_->Put(entry_, kBytes));
  EXPECT_EQ(TaskState::kFinished, State());
}

TEST_F(OutboxTest, WithLostBytesTheTaskIsQueuedAgainAtTheNextStart) {
  ASSERT_OK(outbox_->Put(entry_, kBytes));
  ASSERT_OK(RemoveFile(Path()));
  Reopen();
  EXPECT_EQ(TaskState::kQueued, State());
}

TEST_F(OutboxTest, ACancelledTaskTakesNoUpdate) {
  ASSERT_TRUE(ledger_->CloseUnfinished(task_.task_id(), TaskState::kDropped, {"stopped", ""}).value());
  EXPECT_THAT(outbox_->Put(entry_, kBytes), StatusIs(absl::StatusCode::kNotFound));
  Reopen();
  EXPECT_FALSE(FileExists(Path()));
}

}  // namespace
}  // namespace tributary::session
