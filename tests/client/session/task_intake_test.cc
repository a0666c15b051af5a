#include "client/session/task_intake.h"

#include <gtest/gtest.h>

#include "tests/client/session/client_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::session {
namespace {

class TaskIntakeTest : public ClientFixture {
 protected:
  TaskIntake::Decision Decide(const v1::TrainTask& task) { return intake_->Decide(task).value(); }
};

TEST_F(TaskIntakeTest, AUsualTaskIsAcceptedAndDurable) {
  const TaskIntake::Decision decision = Decide(federation_.Task(1));
  EXPECT_TRUE(decision.accepted);
  OpenStores();
  EXPECT_EQ(TaskState::kQueued, Row(federation_.Task(1)).state);
}

TEST_F(TaskIntakeTest, TheSameTaskAgainIsAcceptedAndHeldOnce) {
  Decide(federation_.Task(1));
  EXPECT_TRUE(Decide(federation_.Task(1)).accepted);
  EXPECT_EQ(1u, ledger_->HeldTasks().value().size());
}

TEST_F(TaskIntakeTest, ADeclinedTaskIsDeclinedAgainTheSameWay) {
  policy_.max_epochs = 1;
  federation_.plan.mutable_train()->set_epochs(2);
  EXPECT_EQ("policy", Decide(federation_.Task(1)).refusal.code);
  policy_.max_epochs = 5;
  const TaskIntake::Decision again = Decide(federation_.Task(1));
  EXPECT_FALSE(again.accepted);
  EXPECT_EQ("policy", again.refusal.code);
}

TEST_F(TaskIntakeTest, ADeclinedTaskIsStillPartOfTheHistorySeen) {
  policy_.min_cohort = 1000;
  EXPECT_FALSE(Decide(federation_.Task(5)).accepted);
  EXPECT_EQ("history_rollback", Decide(federation_.Task(4)).refusal.code);
  EXPECT_EQ("policy", Decide(federation_.Task(6, 5)).refusal.code);
}

TEST_F(TaskIntakeTest, AForkIsDeclinedAndNotRemembered) {
  Decide(federation_.Task(3));
  EXPECT_EQ("history_fork", Decide(federation_.Task(4)).refusal.code);
  EXPECT_TRUE(Decide(federation_.Task(5, 3)).accepted);
}

TEST_F(TaskIntakeTest, WhatIsNotUnderstoodLeavesNoTrace) {
  v1::TrainTask task = federation_.Task(1);
  task.set_encoding("zip");
  EXPECT_EQ("unsupported", Decide(task).refusal.code);
  EXPECT_FALSE(ledger_->FindTask(task.task_id()).value().has_value());
  EXPECT_FALSE(ledger_->FindRun(task.run_id()).value().has_value());
}

TEST_F(TaskIntakeTest, DataThatDoNotFitAreAMismatch) {
  federation_.plan.mutable_model()->set_input(0, 4);
  EXPECT_EQ("data_mismatch", Decide(federation_.Task(1)).refusal.code);
}

TEST_F(TaskIntakeTest, DataThatCannotBeReadNameTheFile) {
  data_ = DataHolder::Of({}, absl::InvalidArgumentError("/srv/x: short file at byte 8"));
  OpenStores();
  const TaskIntake::Decision decision = Decide(federation_.Task(1));
  EXPECT_EQ("data_error", decision.refusal.code);
  EXPECT_EQ("/srv/x: short file at byte 8", decision.refusal.reason);
}

TEST_F(TaskIntakeTest, TheDayEndsAfterTwentyFourHours) {
  policy_.rounds_a_day = 1;
  EXPECT_TRUE(Decide(federation_.Task(1)).accepted);
  EXPECT_EQ("policy", Decide(federation_.Task(2, 1)).refusal.code);
  clock_.Advance(absl::Hours(24) + absl::Seconds(1));
  EXPECT_TRUE(Decide(federation_.Task(3, 2)).accepted);
}

TEST_F(TaskIntakeTest, ADroppedTaskThatComesAgainCountsAgain) {
  policy_.rounds_a_day = 2;
  const v1::TrainTask task = federation_.Task(1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Decide(task).accepted);
    ASSERT_TRUE(ledger_->CloseUnfinished(task.task_id(), TaskState::kDropped, {"stopped", ""}).value());
  }
  EXPECT_EQ("policy", Decide(task).refusal.code);
  EXPECT_EQ("policy", Decide(federation_.Task(2, 1)).refusal.code);
  OpenStores();
  EXPECT_EQ("policy", Decide(federation_.Task(3, 2)).refusal.code) << "also after a restart";
}

TEST_F(TaskIntakeTest, AModelThatCannotFitIntoMemoryIsDeclined) {
  TaskIntake small({ledger_.get(), data_.get(), &policy_, &federation_.ca(), &clock_, 1, 64});
  const TaskIntake::Decision decision = small.Decide(federation_.Task(1)).value();
  EXPECT_EQ("training_failed", decision.refusal.code);
  EXPECT_NE(std::string::npos, decision.refusal.reason.find("memory")) << decision.refusal.reason;
}

TEST_F(TaskIntakeTest, OtherLayersUnderAPresetsNameAreDeclined) {
  policy_.models = {"keras-cnn"};
  federation_.plan.mutable_model()->set_preset("keras-cnn");
  const TaskIntake::Decision decision = Decide(federation_.Task(1));
  EXPECT_EQ("policy", decision.refusal.code);
  EXPECT_NE(std::string::npos, decision.refusal.reason.find("calls itself keras-cnn")) << decision.refusal.reason;
}

// The same round of a run, changed by the coordinator after this client has seen it.
struct Fork {
  const char* name;
  void (*change)(v1::TrainTask*);
};

class ForkedRoundTest : public TaskIntakeTest, public ::testing::WithParamInterface<Fork> {
 protected:
  void ExpectDeclinedAsAFork(TaskState then) {
    v1::TrainTask fork = federation_.Task(3);
    GetParam().change(&fork);
    EXPECT_EQ("history_fork", Decide(fork).refusal.code);
    OpenStores();
    EXPECT_EQ(then, Row(federation_.Task(3)).state);
    EXPECT_EQ("history_fork", Row(federation_.Task(3)).code) << "remembered";
  }
};

TEST_P(ForkedRoundTest, IsDeclinedWhileTheTaskWaits) {
  ASSERT_TRUE(Decide(federation_.Task(3)).accepted);
  ExpectDeclinedAsAFork(TaskState::kDeclined);
}

TEST_P(ForkedRoundTest, IsDeclinedWhileTheUpdateWaitsAndTheUpdateStays) {
  ASSERT_TRUE(Decide(federation_.Task(3)).accepted);
  ASSERT_OK(outbox_->Put(federation_.Entry(federation_.Task(3), "the update"), "the update"));
  ExpectDeclinedAsAFork(TaskState::kFinished);
  EXPECT_EQ(1u, ledger_->ListOutbox().value().size());
  EXPECT_EQ(federation_.Task(3).SerializeAsString(), Row(federation_.Task(3)).task.SerializeAsString());
}

TEST_P(ForkedRoundTest, IsDeclinedOnceTheUpdateIsReceipted) {
  ASSERT_TRUE(Decide(federation_.Task(3)).accepted);
  const OutboxEntry entry = federation_.Entry(federation_.Task(3), "the update");
  ASSERT_OK(outbox_->Put(entry, "the update"));
  ASSERT_OK(outbox_->Close(entry, TaskState::kDone, {}, "receipt", 1));
  ExpectDeclinedAsAFork(TaskState::kDone);
}

TEST_P(ForkedRoundTest, IsDeclinedAfterTheTaskWasDropped) {
  ASSERT_TRUE(Decide(federation_.Task(3)).accepted);
  ASSERT_TRUE(ledger_->CloseUnfinished(federation_.Task(3).task_id(), TaskState::kDropped, {"stopped", ""}).value());
  ExpectDeclinedAsAFork(TaskState::kDeclined);
}

INSTANTIATE_TEST_SUITE_P(
    All, ForkedRoundTest,
    ::testing::Values(
        Fork{"AnotherBaseModel", [](v1::TrainTask* task) { task->set_base_model_sha256(std::string(64, 'e')); }},
        Fork{"AnotherPlan",
             [](v1::TrainTask* task) {
               TestFederation other;
               other.plan.mutable_train()->set_epochs(9);
               task->set_plan(other.Task(3).plan());
               task->set_plan_sha256(other.Task(3).plan_sha256());
             }},
        Fork{"AnotherPast", [](v1::TrainTask* task) { task->set_previous_record_sha256(std::string(64, 'e')); }},
        Fork{"AnotherRun", [](v1::TrainTask* task) { task->set_run_id("run-2"); }}),
    [](const auto& param_info) { return param_info.param.name; });

TEST_F(TaskIntakeTest, ARoundThatWasTakenIsNotTakenAgainUnderAnotherTaskId) {
  ASSERT_TRUE(Decide(federation_.Task(3)).accepted);
  v1::TrainTask again = federation_.Task(3);
  again.set_task_id(std::string(64, 'e'));
  EXPECT_EQ("history_fork", Decide(again).refusal.code);
  EXPECT_EQ(TaskState::kDeclined, Row(again).state);
  EXPECT_EQ(TaskState::kQueued, Row(federation_.Task(3)).state);
}

TEST_F(TaskIntakeTest, ADeclinedForkDoesNotShutTheRoundForTheRightTask) {
  ASSERT_TRUE(Decide(federation_.Task(3)).accepted);
  v1::TrainTask fork = federation_.Task(4);  // without links
  fork.set_task_id(std::string(64, 'e'));
  EXPECT_EQ("history_fork", Decide(fork).refusal.code);
  EXPECT_TRUE(Decide(federation_.Task(4, 3)).accepted);
}

}  // namespace
}  // namespace tributary::session
