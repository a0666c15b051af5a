#include "client/session/client_ledger.h"

#include <gtest/gtest.h>

#include <span>

#include "absl/strings/str_cat.h"
#include "client/session/client_ledger_schema.h"
#include "common/crypto/digest.h"
#include "tests/client/session/test_federation.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::session {
namespace {

using testing::StatusIs;

class ClientLedgerTest : public ::testing::Test {
 protected:
  ClientLedgerTest() { Reopen(); }
  void Reopen() {
    ledger_.reset();
    ledger_ = ClientLedger::Open(dir_.path()).value();
  }
  TaskState StateOf(const v1::TrainTask& task) { return ledger_->FindTask(task.task_id()).value()->state; }
  void Queue(const v1::TrainTask& task) { ASSERT_OK(ledger_->AddTask(task, TaskState::kQueued, {}, 1000)); }
  std::vector<SentRow> Sent() {
    std::vector<SentRow> rows;
    EXPECT_OK(ledger_->ListSent([&rows](const SentRow& row) {
      rows.push_back(row);
      return absl::OkStatus();
    }));
    return rows;
  }

  const testing::TempDir dir_;
  const TestFederation federation_;
  std::unique_ptr<ClientLedger> ledger_;
};

TEST_F(ClientLedgerTest, AQueuedTaskSurvivesAsItCame) {
  const v1::TrainTask task = federation_.Task(2);
  Queue(task);
  Reopen();
  ASSERT_OK_AND_ASSIGN(const std::vector<TaskRow> held, ledger_->HeldTasks());
  ASSERT_EQ(1u, held.size());
  EXPECT_EQ(task.SerializeAsString(), held[0].task.SerializeAsString());
  EXPECT_EQ(1000, held[0].received_unix_ms);
}

TEST_F(ClientLedgerTest, TheNewestTaskOfARunIsRemembered) {
  Queue(federation_.Task(2));
  ASSERT_OK(ledger_->AddTask(federation_.Task(4, 2), TaskState::kDeclined, {"policy", "no"}, 2000));
  Reopen();
  ASSERT_OK_AND_ASSIGN(const std::optional<RunMemory> run, ledger_->FindRun("run-1"));
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(4u, run->round);
  EXPECT_EQ(federation_.Record(3), run->previous_record_sha256);
  EXPECT_EQ(federation_.Record(0), run->genesis_sha256);
}

TEST_F(ClientLedgerTest, ARefusedHistoryIsNotRemembered) {
  Queue(federation_.Task(2));
  ASSERT_OK(ledger_->AddRefusedHistory(federation_.Task(9), {"history_fork", "no"}, 2000));
  EXPECT_EQ(2u, ledger_->FindRun("run-1").value()->round);
  EXPECT_EQ(TaskState::kDeclined, StateOf(federation_.Task(9)));
}

TEST_F(ClientLedgerTest, AFileOfTheFirstVersionIsBroughtUpToDate) {
  const testing::TempDir old;
  {
    const auto db = storage::Database::Open(old.path() + "/client.db").value();
    ASSERT_OK(storage::Migrate(*db, std::span(kClientMigrations).first(1)));
    ASSERT_OK(db->Run("INSERT INTO runs VALUES ('run-1', 'tiny', ?1, 2, ?2, 'pem', 1000)",
                      {federation_.Record(0), federation_.Record(1)}));
    ASSERT_OK(
        db->Run("INSERT INTO tasks (task_id, run_id, run_name, round, state, code, reason, accepted, message, "
                "received_unix_ms) VALUES ('t', 'run-1', 'tiny', 2, 'done', '', '', 1, x'', 1000)"));
  }
  ASSERT_OK_AND_ASSIGN(const auto ledger, ClientLedger::Open(old.path()));
  EXPECT_EQ(1u, ledger->CountAccepted(1000, 1 << 30).value());
  EXPECT_EQ(0u, ledger->CountAccepted(1001, 1 << 30).value());
  ASSERT_OK_AND_ASSIGN(const std::optional<RunMemory> run, ledger->FindRun("run-1"));
  EXPECT_EQ("", run->base_model_sha256);
  EXPECT_EQ(TaskState::kDone, ledger->FindTask("t").value()->state);
}

TEST_F(ClientLedgerTest, AcceptancesAreForgottenAfterTwoDays) {
  Queue(federation_.Task(1));
  ASSERT_OK(ledger_->AddTask(federation_.Task(2, 1), TaskState::kQueued, {}, 1000 + int64_t{48} * 3'600'000));
  EXPECT_EQ(2u, ledger_->CountAccepted(0, 1 << 30).value());
  ASSERT_OK(ledger_->AddTask(federation_.Task(3, 2), TaskState::kQueued, {}, 1001 + int64_t{48} * 3'600'000));
  EXPECT_EQ(2u, ledger_->CountAccepted(0, 1 << 30).value());
}

TEST_F(ClientLedgerTest, AnUnknownRunAndTaskAreNothing) {
  EXPECT_FALSE(ledger_->FindRun("run-1").value().has_value());
  EXPECT_FALSE(ledger_->FindTask(federation_.Task(1).task_id()).value().has_value());
}

TEST_F(ClientLedgerTest, AHeldTaskIsNotReplaced) {
  Queue(federation_.Task(1));
  EXPECT_THAT(ledger_->AddTask(federation_.Task(1), TaskState::kQueued, {}, 5),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(ClientLedgerTest, ADroppedTaskMayComeAgain) {
  Queue(federation_.Task(1));
  ASSERT_TRUE(ledger_->CloseUnfinished(federation_.Task(1).task_id(), TaskState::kDropped, {"stopped", ""}).value());
  Queue(federation_.Task(1));
  EXPECT_EQ(TaskState::kQueued, StateOf(federation_.Task(1)));
}

TEST_F(ClientLedgerTest, ACancelComesTooLateForAFinishedTask) {
  const v1::TrainTask task = federation_.Task(1);
  Queue(task);
  ASSERT_OK(ledger_->AddOutbox(federation_.Entry(task, "bytes")));
  EXPECT_FALSE(ledger_->CloseUnfinished(task.task_id(), TaskState::kDropped, {"stopped", ""}).value());
  EXPECT_EQ(TaskState::kFinished, StateOf(task));
}

TEST_F(ClientLedgerTest, AFinishedUpdateComesTooLateForACancelledTask) {
  const v1::TrainTask task = federation_.Task(1);
  Queue(task);
  ASSERT_TRUE(ledger_->CloseUnfinished(task.task_id(), TaskState::kDropped, {"stopped", ""}).value());
  EXPECT_THAT(ledger_->AddOutbox(federation_.Entry(task, "bytes")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(ledger_->ListOutbox().value().empty());
}

TEST_F(ClientLedgerTest, TheOutboxKeepsWhatWasSigned) {
  const v1::TrainTask task = federation_.Task(1);
  Queue(task);
  const OutboxEntry entry = federation_.Entry(task, "bytes");
  ASSERT_OK(ledger_->AddOutbox(entry));
  Reopen();
  const OutboxEntry kept = *ledger_->FindOutbox(task.task_id()).value();
  EXPECT_EQ(entry.record.SerializeAsString(), kept.record.SerializeAsString());
  EXPECT_EQ(entry.signature, kept.signature);
  EXPECT_EQ(entry.metrics, kept.metrics);
}

TEST_F(ClientLedgerTest, AReceiptEndsTheTaskAndStandsInWhatWasSent) {
  const v1::TrainTask task = federation_.Task(1);
  Queue(task);
  ASSERT_OK(ledger_->AddOutbox(federation_.Entry(task, "bytes")));
  SentRow row;
  row.kind = "delta";
  row.task_id = task.task_id();
  row.sha256 = "d";
  row.outcome = "sending";
  row.last_unix_ms = 5;
  ASSERT_OK(ledger_->RecordSent(row));
  row.last_unix_ms = 7;
  ASSERT_OK(ledger_->RecordSent(row));
  ASSERT_OK(ledger_->CloseTask(task.task_id(), TaskState::kDone, {}, "receipt bytes", 9));
  Reopen();
  EXPECT_EQ(TaskState::kDone, StateOf(task));
  EXPECT_TRUE(ledger_->ListOutbox().value().empty());
  const std::vector<SentRow> sent = Sent();
  ASSERT_EQ(1u, sent.size());
  EXPECT_EQ("receipted", sent[0].outcome);
  EXPECT_EQ("receipt bytes", sent[0].receipt);
  EXPECT_EQ(2u, sent[0].times);
  EXPECT_EQ(5, sent[0].first_unix_ms);
  EXPECT_EQ(9, sent[0].last_unix_ms);
}

TEST_F(ClientLedgerTest, OnlyAcceptedTasksCountForTheDay) {
  Queue(federation_.Task(1));
  ASSERT_OK(ledger_->AddTask(federation_.Task(2, 1), TaskState::kDeclined, {"policy", "no"}, 1000));
  EXPECT_EQ(1u, ledger_->CountAccepted(1000, 1 << 30).value());
  EXPECT_EQ(0u, ledger_->CountAccepted(1001, 1 << 30).value());
}

TEST_F(ClientLedgerTest, FactsAreKept) {
  EXPECT_EQ("", ledger_->LastFacts().value());
  ASSERT_OK(ledger_->SaveFacts(std::string("a\0b", 3)));
  ASSERT_OK(ledger_->SaveFacts(std::string("c\0d", 3)));
  Reopen();
  EXPECT_EQ(std::string("c\0d", 3), ledger_->LastFacts().value());
}

TEST_F(ClientLedgerTest, UploadsCanBeReadBesideTheDaemon) {
  ASSERT_OK_AND_ASSIGN(const auto reader, ClientLedger::OpenReadOnly(dir_.path()));
  SentRow row;
  row.kind = "dataset_facts";
  row.outcome = "sent";
  ASSERT_OK(ledger_->RecordSent(row));
  int rows = 0;
  ASSERT_OK(reader->ListSent([&rows](const SentRow&) {
    ++rows;
    return absl::OkStatus();
  }));
  EXPECT_EQ(1, rows);
  EXPECT_FALSE(reader->SaveFacts("x").ok());
}

TEST_F(ClientLedgerTest, WithoutALedgerThereIsNothingToRead) {
  const testing::TempDir empty;
  EXPECT_THAT(ClientLedger::OpenReadOnly(empty.path()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ClientLedgerTest, ANewerSchemaIsRefusedByName) {
  ledger_.reset();
  ASSERT_OK_AND_ASSIGN(const auto db, storage::Database::Open(dir_.File("client.db")));
  ASSERT_OK(db->RunScript("PRAGMA user_version = 99"));
  EXPECT_THAT(ClientLedger::Open(dir_.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::HasSubstr("client.db")));
}

TEST_F(ClientLedgerTest, OldDeclinedTasksAreForgottenSoThatOffersWithoutEndDoNotFillTheDisk) {
  ASSERT_OK(ledger_->AddTask(federation_.Task(1), TaskState::kQueued, {}, 1));
  for (uint64_t round = 2; round <= 1011; ++round)
    ASSERT_OK(ledger_->AddTask(federation_.Task(round), TaskState::kDeclined, {"policy", "no"}, 2));
  EXPECT_FALSE(ledger_->FindTask(federation_.Task(11).task_id()).value().has_value());
  EXPECT_TRUE(ledger_->FindTask(federation_.Task(12).task_id()).value().has_value()) << "1,000 of them stay";
  EXPECT_TRUE(ledger_->FindTask(federation_.Task(1).task_id()).value().has_value()) << "one that was taken";
}

TEST_F(ClientLedgerTest, RunsThatOnlyForgottenTasksNamedAreForgottenToo) {
  ASSERT_OK(ledger_->AddTask(federation_.Task(1), TaskState::kQueued, {}, 1));
  for (uint64_t n = 1; n <= 1010; ++n) {
    v1::TrainTask task = federation_.Task(1);
    task.set_run_id(absl::StrCat("offered-", n));
    task.set_task_id(crypto::Sha256Hex(task.run_id()));
    ASSERT_OK(ledger_->AddTask(task, TaskState::kDeclined, {"policy", "no"}, 2));
  }
  EXPECT_FALSE(ledger_->FindRun("offered-10").value().has_value());
  EXPECT_TRUE(ledger_->FindRun("offered-11").value().has_value());
  EXPECT_TRUE(ledger_->FindRun(federation_.run_id).value().has_value()) << "a task of it was taken";
  EXPECT_EQ(ledger_->Runs(5000)->size(), 1001u);
}

// A task that is refused for its history must not be what makes its run forgotten.
TEST_F(ClientLedgerTest, ARefusedHistoryIsRememberedThroughOffersWithoutEnd) {
  v1::TrainTask first = federation_.Task(1);
  ASSERT_OK(ledger_->AddTask(first, TaskState::kDeclined, {"policy", "no"}, 1));
  for (uint64_t round = 2; round <= 1000; ++round) {
    v1::TrainTask task = federation_.Task(1);
    task.set_run_id(absl::StrCat("offered-", round));
    task.set_task_id(crypto::Sha256Hex(task.run_id()));
    ASSERT_OK(ledger_->AddTask(task, TaskState::kDeclined, {"policy", "no"}, 2));
  }
  ASSERT_OK(ledger_->AddRefusedHistory(federation_.Task(2), {"history_fork", "another past"}, 3));
  EXPECT_FALSE(ledger_->FindTask(first.task_id()).value().has_value());
  EXPECT_TRUE(ledger_->FindRun(federation_.run_id).value().has_value());
}

TEST_F(ClientLedgerTest, OffersThatAreCancelledWithoutEndDoNotFillTheDisk) {
  const v1::TrainTask with_upload = federation_.Task(1);
  Queue(with_upload);
  SentRow row;
  row.kind = "metrics";
  row.task_id = with_upload.task_id();
  row.run_id = with_upload.run_id();
  ASSERT_OK(ledger_->RecordSent(row));
  ASSERT_OK(ledger_->CloseTask(with_upload.task_id(), TaskState::kDropped, {"not_needed", ""}, "", 2));
  for (uint64_t round = 2; round <= 1290; ++round) {
    const v1::TrainTask task = federation_.Task(round);
    Queue(task);
    ASSERT_OK(ledger_->CloseUnfinished(task.task_id(), TaskState::kDropped, {"cancelled", ""}).status());
  }
  const auto known = [&](uint64_t round) {
    return ledger_->FindTask(federation_.Task(round).task_id()).value().has_value();
  };
  EXPECT_TRUE(known(1)) << "something was sent for it";
  EXPECT_FALSE(known(2));
  EXPECT_FALSE(known(280));
  EXPECT_TRUE(known(281)) << "looked at when the 1,280th came, and the newest 1,000 stay";
  EXPECT_EQ(ledger_->FindRun(federation_.run_id).value()->round, 1290u);
}

// Of the coordinator's making, without an end: taken, then offered with another history, or taken and without a model.
TEST_F(ClientLedgerTest, OffersThatComeToNothingInOtherWaysDoNotFillTheDisk) {
  for (uint64_t round = 1; round <= 1280; ++round) {
    const v1::TrainTask task = federation_.Task(round);
    Queue(task);
    if (round % 2 == 0) {
      ASSERT_OK(ledger_->AddRefusedHistory(task, {"history_fork", ""}, 1));
    } else {
      ASSERT_OK(ledger_->CloseUnfinished(task.task_id(), TaskState::kFailed, {"training_failed", ""}).status());
    }
  }
  const auto known = [&](uint64_t round) {
    return ledger_->FindTask(federation_.Task(round).task_id()).value().has_value();
  };
  for (const uint64_t round : {1u, 2u, 279u, 280u}) EXPECT_FALSE(known(round)) << round;
  for (const uint64_t round : {281u, 282u, 1280u}) EXPECT_TRUE(known(round)) << round;
}

TEST_F(ClientLedgerTest, WhatWasTakenInTheFutureDoesNotCountToday) {
  Queue(federation_.Task(1));
  EXPECT_EQ(1u, ledger_->CountAccepted(0, 1 << 30).value());
  const int64_t taken = 1;  // by Queue
  EXPECT_EQ(0u, ledger_->CountAccepted(0, taken - 1).value());
}

}  // namespace
}  // namespace tributary::session
