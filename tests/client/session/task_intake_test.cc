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
  EXPECT_TRUE(decision.is_new);
  OpenStores();
  EXPECT_EQ(TaskState::kQueued, Row(federation_.Task(1)).state);
}

TEST_F(TaskIntakeTest, TheSameTaskAgainIsAcceptedAndNotNew) {
  Decide(federation_.Task(1));
  const TaskIntake::Decision again = Decide(federation_.Task(1));
  EXPECT_TRUE(again.accepted);
  EXPECT_FALSE(again.is_new);
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

}  // namespace
}  // namespace tributary::session
