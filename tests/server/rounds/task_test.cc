// Tasks as they go out, and what becomes of those that clients hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "server/rounds/task_builder.h"
#include "server/rounds/task_verdict.h"
#include "tests/common/learning/tiny_plan.h"

namespace tributary::rounds {
namespace {

using ::testing::HasSubstr;
using testing::TinyModel;
using testing::TinyPlan;

TEST(TaskIdTest, IsStableAndDiffersByEveryField) {
  const std::string id = TaskId("fed", "r-1", 2, "c-1");
  EXPECT_TRUE(IsHexDigest(id));
  EXPECT_EQ(id, TaskId("fed", "r-1", 2, "c-1"));
  EXPECT_NE(id, TaskId("fee", "r-1", 2, "c-1"));
  EXPECT_NE(id, TaskId("fed", "r-2", 2, "c-1"));
  EXPECT_NE(id, TaskId("fed", "r-1", 3, "c-1"));
  EXPECT_NE(id, TaskId("fed", "r-1", 2, "c-2"));
  EXPECT_NE(TaskId("ab", "c", 1, "d"), TaskId("a", "bc", 1, "d")) << "fields must not run together";
}

TEST(TaskIdTest, FollowsTheDocumentedFraming) {
  std::string framed("tributary/task/v1\0", 18);
  std::string round;
  AppendLe64(&round, 2);
  for (const std::string& f : {std::string("fed"), std::string("r-1"), round, std::string("c-1")}) {
    AppendLengthPrefixed(&framed, f);
  }
  EXPECT_EQ(TaskId("fed", "r-1", 2, "c-1"), crypto::Sha256Hex(framed));
}

TEST(LinksTest, LeadFromTheRememberedRoundToTheOneBeforeThis) {
  v1::RunHead head;
  head.set_run_id("r-1");
  head.set_round(3);
  const LinkRange range = LinksFor(head, "r-1", 7);
  EXPECT_EQ(range.from, 3u);
  EXPECT_EQ(range.to, 6u);
}

TEST(LinksTest, NoneForANewClientTheSameRoundOrARollback) {
  v1::RunHead head;
  EXPECT_GT(LinksFor(head, "r-1", 7).from, LinksFor(head, "r-1", 7).to) << "remembers nothing";
  head.set_run_id("r-1");
  for (const uint64_t round : {7, 8}) {
    head.set_round(round);
    EXPECT_GT(LinksFor(head, "r-1", 7).from, LinksFor(head, "r-1", 7).to) << round;
  }
  head.set_run_id("r-2");
  head.set_round(1);
  EXPECT_GT(LinksFor(head, "r-1", 7).from, LinksFor(head, "r-1", 7).to) << "another run";
}

RunSpec Spec() {
  RunSpec spec;
  spec.id = "r-1";
  spec.name = "tiny";
  spec.plan = TinyPlan();
  spec.plan_bytes = spec.plan.SerializeAsString();
  spec.plan_sha256 = crypto::Sha256Hex(spec.plan_bytes);
  spec.genesis_sha256 = std::string(64, '1');
  spec.receipt_certificate_pem = "PEM";
  spec.model = TinyModel();
  return spec;
}

TEST(BuildTaskTest, CarriesWhatTheClientNeeds) {
  const RunSpec spec = Spec();
  OpenTraining training;
  training.round = 4;
  training.rounds_done = 2;
  training.base_model_sha256 = std::string(64, 'a');
  training.previous_record_sha256 = std::string(64, 'b');
  training.closes_at = absl::Seconds(100);
  const v1::TrainTask task = BuildTask(spec, training, {"c-1", "alpha", "task-1"},
                                       {{3, std::string(64, 'c'), std::string(64, 'd')}}, absl::Seconds(40));
  EXPECT_EQ(task.task_id(), "task-1");
  EXPECT_EQ(task.run_id(), "r-1");
  EXPECT_EQ(task.round(), 4u);
  EXPECT_EQ(task.plan(), spec.plan_bytes);
  EXPECT_EQ(task.plan_sha256(), spec.plan_sha256);
  EXPECT_EQ(task.seed(), 7u);
  EXPECT_EQ(task.base_model_bytes(), 4 * testing::kTinyParameters);
  EXPECT_EQ(task.encoding(), "float32");
  EXPECT_EQ(task.min_clients(), 2u);
  EXPECT_EQ(task.retention(), "run");
  EXPECT_EQ(task.previous_record_sha256(), training.previous_record_sha256);
  EXPECT_EQ(task.genesis_sha256(), spec.genesis_sha256);
  EXPECT_EQ(task.receipt_certificate_pem(), "PEM");
  ASSERT_EQ(task.links_size(), 1);
  EXPECT_EQ(task.links(0).round(), 3u);
  EXPECT_EQ(task.links(0).body_sha256(), std::string(64, 'c'));
  EXPECT_EQ(task.remaining_ms(), 60'000u);
  EXPECT_FALSE(task.has_privacy());
}

TEST(BuildTaskTest, TheRateDecaysWithCommittedRoundsNotWithAbandonedOnes) {
  const RunSpec spec = Spec();
  OpenTraining training;
  training.round = 9;
  training.rounds_done = 2;
  EXPECT_EQ(BuildTask(spec, training, {}, {}, absl::ZeroDuration()).learning_rate(), 0.125);
}

TEST(BuildTaskTest, NothingRemainsAfterTheDeadline) {
  OpenTraining training;
  training.closes_at = absl::Seconds(5);
  EXPECT_EQ(BuildTask(Spec(), training, {}, {}, absl::Seconds(6)).remaining_ms(), 0u);
}

// ---- verdicts

RunStore::Task Task(const std::string& round_state, const std::string& contribution_state) {
  RunStore::Task task;
  task.run = "r-1";
  task.round = 1;
  task.client_id = "c-1";
  task.round_state = round_state;
  task.contribution_state = contribution_state;
  return task;
}

v1::TaskVerdict::Action Verdict(v1::HeldTask::State held, const std::optional<RunStore::Task>& task) {
  v1::HeldTask h;
  h.set_task_id("t");
  h.set_state(held);
  return JudgeHeldTask(h, task).action();
}

TEST(VerdictTest, AnOpenTaskGoesOn) {
  for (const char* state : {"invited", "accepted_task"}) {
    EXPECT_EQ(Verdict(v1::HeldTask::QUEUED, Task("training", state)), v1::TaskVerdict::CONTINUE);
    EXPECT_EQ(Verdict(v1::HeldTask::TRAINING, Task("training", state)), v1::TaskVerdict::CONTINUE);
    EXPECT_EQ(Verdict(v1::HeldTask::FINISHED, Task("training", state)), v1::TaskVerdict::UPLOAD);
    EXPECT_EQ(Verdict(v1::HeldTask::STATE_UNSPECIFIED, Task("training", state)), v1::TaskVerdict::RESEND);
  }
}

TEST(VerdictTest, AClosedTaskIsCancelledWithItsReason) {
  for (const char* state : {"late", "dropped", "declined", "rejected", "not_needed"}) {
    EXPECT_EQ(Verdict(v1::HeldTask::TRAINING, Task("training", state)), v1::TaskVerdict::CANCEL) << state;
    EXPECT_EQ(Verdict(v1::HeldTask::FINISHED, Task("training", state)), v1::TaskVerdict::CANCEL) << state;
  }
  for (const char* state : {"aggregating", "evaluating", "committed", "abandoned"}) {
    EXPECT_EQ(Verdict(v1::HeldTask::FINISHED, Task(state, "invited")), v1::TaskVerdict::CANCEL) << state;
  }
  v1::HeldTask held;
  held.set_task_id("t");
  EXPECT_THAT(JudgeHeldTask(held, Task("committed", "late")).reason(), HasSubstr("committed"));
}

TEST(VerdictTest, AnUnknownTaskIsCancelled) {
  EXPECT_EQ(Verdict(v1::HeldTask::TRAINING, std::nullopt), v1::TaskVerdict::CANCEL);
}

TEST(VerdictTest, AnAcceptedUpdateIsAskedForAgainSoThatItsReceiptArrives) {
  EXPECT_EQ(Verdict(v1::HeldTask::FINISHED, Task("committed", "accepted")), v1::TaskVerdict::UPLOAD);
  EXPECT_EQ(Verdict(v1::HeldTask::TRAINING, Task("training", "accepted")), v1::TaskVerdict::CANCEL);
}

TEST(WhyClosedTest, SaysLateStoppedOrNotNeeded) {
  EXPECT_EQ(WhyClosed(Task("committed", "late"), "running").code, "late");
  EXPECT_EQ(WhyClosed(Task("committed", "dropped"), "running").code, "late");
  EXPECT_EQ(WhyClosed(Task("committed", "not_needed"), "running").code, "not_needed");
  EXPECT_EQ(WhyClosed(Task("abandoned", "not_needed"), "stopped").code, "stopped");
  EXPECT_EQ(WhyClosed(Task("training", "declined"), "running").code, "not_needed");
}

}  // namespace
}  // namespace tributary::rounds
