// Whole rounds, one step at a time, without threads: every state, every way out of it, and a restart in each.
#include "server/rounds/round_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <utility>

#include "tests/server/rounds/faulty_store.h"
#include "tests/server/rounds/tiny_federation.h"
#include "tests/support/status_matchers.h"

namespace tributary::rounds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::TinyFederation;
using testing::TinyPlan;
using ::testing::UnorderedElementsAre;

class RoundDriverTest : public ::testing::Test {
 protected:
  // As a fresh process: nothing is remembered but the store.
  void Restart() {
    board_ = std::make_unique<RunBoard>();
    RoundDriver::Environment environment;
    environment.store = &store_;
    environment.dispatcher = &fed_.dispatcher;
    environment.blobs = &fed_.ledger.blobs();
    environment.clock = &fed_.clock;
    environment.federation = testing::kFederation;
    driver_ = std::make_unique<RoundDriver>(environment, *RunSpec::From(*fed_.store().GetRun(run_)), board_.get());
  }
  void Start(const v1::RunPlan& plan, const std::string& request = "request-1") {
    run_ = fed_.CreateRun(plan, request);
    Restart();
  }

  RoundDriver::Next Step() {
    const auto next = driver_->Step();
    EXPECT_OK(next);
    return next.ok() ? *next : RoundDriver::Next{.ended = true};
  }
  // Until it has nothing to do or has ended.
  RoundDriver::Next Settle() {
    for (int i = 0; i < 100; ++i) {
      const RoundDriver::Next next = Step();
      if (next.ended || next.wait > absl::ZeroDuration()) return next;
    }
    ADD_FAILURE() << "never settles";
    return {};
  }
  void Accept(uint64_t round, const std::string& client_id) {
    const auto result = fed_.store().AcceptUpdate(fed_.Update(run_, round, client_id));
    ASSERT_OK(result);
    ASSERT_EQ(result->kind, AcceptResult::Kind::kAccepted) << client_id;
  }
  void AcceptAll(uint64_t round) {
    for (const char* id : {"c00", "c01", "c02"}) Accept(round, id);
  }
  void Decline(uint64_t round, const std::string& client_id) {
    ContributionChange change;
    change.state = "declined";
    change.reason = "policy: not today";
    ASSERT_OK(fed_.store().ChangeContribution(run_, round, client_id, change, 1));
  }
  // Happens at the first such call.
  static testing::HookedStore::Hook Once(std::string_view call, std::function<void()> what) {
    return [call, what = std::move(what), done = false](std::string_view now) mutable {
      if (now == call && !std::exchange(done, true)) what();
      return absl::OkStatus();
    };
  }
  std::string State(uint64_t round) { return fed_.Round(run_, round).state(); }
  // The model of the same plan in a run of its own, never interrupted. Leaves the test's own run behind.
  std::string UndisturbedModel() {
    Start(TinyPlan(), "undisturbed");
    for (uint64_t round = 1; round <= 2; ++round) {
      Settle();
      AcceptAll(round);
    }
    EXPECT_TRUE(Settle().ended);
    return fed_.Run(run_).model_sha256();
  }

  TinyFederation fed_;
  testing::HookedStore store_{&fed_.store()};
  std::string run_;
  std::unique_ptr<RunBoard> board_;
  std::unique_ptr<RoundDriver> driver_;
};

// ---- the way through

TEST_F(RoundDriverTest, ARoundGoesThroughEveryStateAndTheRunCompletes) {
  v1::RunPlan plan = TinyPlan();
  plan.set_rounds(1);
  Start(plan);
  Step();
  EXPECT_EQ(State(1), "selecting");
  Step();
  EXPECT_EQ(State(1), "training");
  EXPECT_GT(Step().wait, absl::ZeroDuration());
  AcceptAll(1);
  Step();
  EXPECT_EQ(State(1), "aggregating");
  Step();
  EXPECT_EQ(State(1), "evaluating");
  Step();
  EXPECT_EQ(State(1), "committed");
  EXPECT_TRUE(Step().ended);
  const v1::Run run = fed_.Run(run_);
  EXPECT_EQ(run.state(), "completed");
  EXPECT_EQ(run.rounds_done(), 1u);
  EXPECT_EQ(run.model_sha256(), fed_.Round(run_, 1).model_sha256());
  EXPECT_THAT(fed_.Rows(run_, 1), ElementsAre("c00 accepted", "c01 accepted", "c02 accepted"));
  EXPECT_THAT(fed_.dispatcher.cancels(), IsEmpty());
}

TEST_F(RoundDriverTest, TheNewModelIsTheBasePlusTheAverage) {
  Start(TinyPlan());
  Settle();
  ASSERT_OK(fed_.store().AcceptUpdate(fed_.Update(run_, 1, "c00", 1.0f, 100)));
  ASSERT_OK(fed_.store().AcceptUpdate(fed_.Update(run_, 1, "c01", 4.0f, 200)));
  ASSERT_OK(fed_.store().AcceptUpdate(fed_.Update(run_, 1, "c02", 2.0f, 100)));
  Settle();
  const v1::Round round = fed_.Round(run_, 1);
  const std::vector<float> base = fed_.Model(round.base_model_sha256()), model = fed_.Model(round.model_sha256());
  for (size_t i = 0; i < model.size(); ++i) {
    EXPECT_EQ(model[i], static_cast<float>(static_cast<double>(base[i]) + 2.75)) << i;
  }
  EXPECT_EQ(round.examples(), 400u);
  EXPECT_DOUBLE_EQ(round.train_loss(), 0.25);
  EXPECT_DOUBLE_EQ(round.validation_accuracy(), 0.75);
}

TEST_F(RoundDriverTest, TasksGoOutOnlyAfterTheInvitationsAreCommitted) {
  int pushed = 0;
  fed_.dispatcher.OnPush([&](const v1::TrainTask& task) {
    ++pushed;
    EXPECT_EQ(State(task.round()), "training");
    EXPECT_OK(fed_.store().FindTask(task.task_id()));
    EXPECT_NE(board_->training(), nullptr) << "a hello in between must find it";
  });
  Start(TinyPlan());
  Settle();
  EXPECT_EQ(pushed, 3);
}

TEST_F(RoundDriverTest, TheSecondRoundStartsFromTheFirstAndCarriesItsRecord) {
  Start(TinyPlan());
  Settle();
  AcceptAll(1);
  v1::RunHead head;
  head.set_run_id(run_);
  head.set_round(1);
  fed_.dispatcher.SetHead("c01", head);
  fed_.dispatcher.Forget();
  Settle();
  const v1::Round first = fed_.Round(run_, 1);
  ASSERT_THAT(fed_.dispatcher.tasks(), SizeIs(3));
  for (const auto& [id, task] : fed_.dispatcher.tasks()) {
    EXPECT_EQ(task.round(), 2u);
    EXPECT_EQ(task.base_model_sha256(), first.model_sha256());
    EXPECT_EQ(task.previous_record_sha256(), first.record_sha256());
    EXPECT_EQ(task.learning_rate(), 0.25);
    EXPECT_EQ(task.links_size(), id == "c01" ? 1 : 0);
  }
}

TEST_F(RoundDriverTest, SameSeedAndUpdatesGiveTheSameModelInAnyOrderOfArrival) {
  Start(TinyPlan());
  Settle();
  for (const char* id : {"c02", "c00", "c01"}) Accept(1, id);
  Settle();
  for (const char* id : {"c01", "c02", "c00"}) Accept(2, id);
  Settle();
  const std::string model = fed_.Run(run_).model_sha256();
  EXPECT_EQ(model, UndisturbedModel());
}

// ---- restarts: a new driver on the same store

TEST_F(RoundDriverTest, RestartInSelectingGoesOnWaiting) {
  fed_.dispatcher.SetOnline("c01", false);
  Start(TinyPlan());
  Settle();
  fed_.clock.Advance(absl::Seconds(20));
  driver_->SaveElapsed();
  Restart();
  Settle();
  EXPECT_EQ(State(1), "selecting");
  fed_.clock.Advance(absl::Seconds(9));
  Settle();
  EXPECT_EQ(State(1), "selecting");
  fed_.clock.Advance(absl::Seconds(1));
  Settle();
  EXPECT_EQ(State(1), "training");
  EXPECT_THAT(fed_.Rows(run_, 1), ElementsAre("c00 invited", "c02 invited"));
}

TEST_F(RoundDriverTest, RestartInTrainingKeepsInvitedListUpdatesAndElapsedTime) {
  Start(TinyPlan());
  Settle();
  Accept(1, "c00");
  fed_.clock.Advance(absl::Minutes(4));
  driver_->SaveElapsed();
  fed_.dispatcher.Enrol("c03");  // would be eligible now; the list is never redrawn
  fed_.dispatcher.Forget();
  Restart();
  Settle();
  EXPECT_THAT(fed_.Rows(run_, 1), ElementsAre("c00 accepted", "c01 invited", "c02 invited"));
  ASSERT_THAT(fed_.dispatcher.tasks(), SizeIs(2)) << "those who are online get their task again";
  for (const auto& [id, task] : fed_.dispatcher.tasks()) {
    EXPECT_EQ(task.task_id(), TaskId(testing::kFederation, run_, 1, id));
    EXPECT_EQ(task.remaining_ms(), 360'000u);
  }
  Accept(1, "c01");
  Accept(1, "c02");
  Settle();
  fed_.dispatcher.Remove("c03");
  EXPECT_EQ(State(1), "committed");
  EXPECT_FALSE(fed_.Round(run_, 1).has_overhead_ms()) << "one training was seen by the process before";
}

TEST_F(RoundDriverTest, ElapsedTimeIsSavedEveryFiveSecondsForACrash) {
  Start(TinyPlan());
  EXPECT_EQ(Settle().wait, absl::Seconds(5));
  fed_.clock.Advance(absl::Seconds(5));
  Settle();
  fed_.clock.Advance(absl::Seconds(4));
  Settle();
  EXPECT_EQ(fed_.store().GetRound(run_, 1)->training_elapsed_ms, 5000u);
}

TEST_F(RoundDriverTest, ARestartInEveryStateGivesTheSameModel) {
  Start(TinyPlan());
  int restarts = 0;
  for (int i = 0; i < 60; ++i) {
    const RoundDriver::Next next = Step();
    if (next.ended) break;
    if (next.wait > absl::ZeroDuration()) AcceptAll(fed_.store().GetOpenRound(run_)->value().round.round());
    Restart();
    ++restarts;
  }
  EXPECT_EQ(fed_.Run(run_).state(), "completed");
  EXPECT_GE(restarts, 10);
  const std::string model = fed_.Run(run_).model_sha256();
  EXPECT_EQ(model, UndisturbedModel());
}

TEST_F(RoundDriverTest, RestartAfterAStopEndsAtOnce) {
  Start(TinyPlan());
  Settle();
  ASSERT_OK(fed_.store().SetRunState(run_, "stopped", "by hand", 1));
  Restart();
  EXPECT_TRUE(Step().ended);
}

// ---- closing

TEST_F(RoundDriverTest, AtTheDeadlineTheOnlineAreLateAndTheOfflineDropped) {
  v1::RunPlan plan = TinyPlan();
  plan.mutable_round()->set_min_clients(1);
  Start(plan);
  Settle();
  Accept(1, "c00");
  fed_.dispatcher.SetOnline("c02", false);
  fed_.clock.Advance(absl::Minutes(10) - absl::Milliseconds(1));
  Settle();
  EXPECT_EQ(State(1), "training") << "a disconnected client is open until the deadline";
  fed_.clock.Advance(absl::Milliseconds(1));
  Step();
  EXPECT_THAT(fed_.Rows(run_, 1), ElementsAre("c00 accepted", "c01 late", "c02 dropped"));
  EXPECT_THAT(fed_.dispatcher.cancels(), UnorderedElementsAre("c01 deadline", "c02 deadline"));
  Step();
  Step();
  EXPECT_EQ(State(1), "committed");
}

TEST_F(RoundDriverTest, OverSelectedClientsAreNotNeededOnceTheTargetIsReached) {
  for (const char* id : {"c03", "c04"}) fed_.dispatcher.Enrol(id);
  v1::RunPlan plan = TinyPlan();
  plan.mutable_round()->set_over_select(1.5);
  Start(plan);
  Settle();
  ASSERT_THAT(fed_.dispatcher.tasks(), SizeIs(5));
  AcceptAll(1);
  Step();
  EXPECT_THAT(fed_.Rows(run_, 1),
              ElementsAre("c00 accepted", "c01 accepted", "c02 accepted", "c03 not_needed", "c04 not_needed"));
  EXPECT_THAT(fed_.dispatcher.cancels(), UnorderedElementsAre("c03 not_needed", "c04 not_needed"));
  const auto late = fed_.store().AcceptUpdate(fed_.Update(run_, 1, "c03"));
  ASSERT_OK(late);
  EXPECT_EQ(late->kind, AcceptResult::Kind::kNotNeeded);
}

TEST_F(RoundDriverTest, DeclinedClientsDoNotHoldARoundUp) {
  Start(TinyPlan());
  Settle();
  Accept(1, "c00");
  Accept(1, "c01");
  Decline(1, "c02");
  Settle();
  EXPECT_EQ(State(1), "committed");
}

TEST_F(RoundDriverTest, TooFewUpdatesAbandonTheRoundAndKeepTheModel) {
  Start(TinyPlan());
  const std::string base = fed_.Run(run_).model_sha256();
  Settle();
  Accept(1, "c00");
  Decline(1, "c01");
  Decline(1, "c02");
  Settle();
  EXPECT_EQ(State(1), "abandoned");
  EXPECT_THAT(fed_.Round(run_, 1).reason(), StartsWith("too_few_updates: 1 of at least 2"));
  EXPECT_EQ(fed_.Run(run_).model_sha256(), base);
  EXPECT_EQ(fed_.Run(run_).rounds_done(), 0u);
  EXPECT_EQ(State(2), "training") << "the number is not reused";
}

TEST_F(RoundDriverTest, AnUpdateThatComesBetweenTheDecisionAndTheEndSavesTheRound) {
  Start(TinyPlan());
  Settle();
  Accept(1, "c00");
  fed_.clock.Advance(absl::Minutes(10));
  store_.before = Once("AbandonRound", [&] { Accept(1, "c01"); });
  Step();  // one of at least two: abandon; but the second is here
  EXPECT_EQ(State(1), "training");
  EXPECT_THAT(fed_.dispatcher.cancels(), IsEmpty());
  Step();
  EXPECT_EQ(State(1), "aggregating");
  EXPECT_THAT(fed_.Rows(run_, 1), ElementsAre("c00 accepted", "c01 accepted", "c02 late"));
  Step();
  Step();
  EXPECT_EQ(State(1), "committed");
  EXPECT_EQ(fed_.Round(run_, 1).examples(), 200u);
}

TEST_F(RoundDriverTest, AnUpdateThatComesBetweenTheDecisionAndAggregatingCounts) {
  Start(TinyPlan());
  Settle();
  Accept(1, "c00");
  Accept(1, "c01");
  fed_.clock.Advance(absl::Minutes(10));
  store_.before = Once("BeginAggregating", [&] { Accept(1, "c02"); });
  Step();
  EXPECT_EQ(State(1), "aggregating");
  EXPECT_THAT(fed_.dispatcher.cancels(), IsEmpty()) << "all three are here";
  Step();
  Step();
  EXPECT_EQ(State(1), "committed");
  EXPECT_EQ(fed_.Round(run_, 1).examples(), 300u);
}

TEST_F(RoundDriverTest, AStopBetweenTheDecisionAndAggregatingWins) {
  Start(TinyPlan());
  Settle();
  AcceptAll(1);
  store_.before = Once("BeginAggregating", [&] {
    ASSERT_OK(fed_.store().SetRunState(run_, "stopped", "by hand", 1));
    board_->Interrupt();
  });
  EXPECT_FALSE(driver_->Step().ok());
  driver_->Reload();
  EXPECT_TRUE(Step().ended);
  EXPECT_EQ(State(1), "abandoned");
}

// ---- revoked clients

TEST_F(RoundDriverTest, AClientRevokedBeforeTheRoundIsSharedHoldsNothingUp) {
  Start(TinyPlan());
  store_.after = Once("CommitInvitations", [&] {
    fed_.ledger.Revoke("c02");
    fed_.dispatcher.SetOnline("c02", false);
    EXPECT_EQ(board_->training(), nullptr) << "whoever revokes finds no round to take the client out of";
  });
  Settle();
  EXPECT_THAT(fed_.Rows(run_, 1), ElementsAre("c00 invited", "c01 invited", "c02 dropped"));
  EXPECT_THAT(fed_.dispatcher.tasks(), SizeIs(2)) << "nothing goes out to it";
  Accept(1, "c00");
  Accept(1, "c01");
  Settle();
  EXPECT_EQ(State(1), "committed") << "long before the deadline";
}

TEST_F(RoundDriverTest, ARevocationThatACrashCutOffIsSeenAfterTheRestart) {
  Start(TinyPlan());
  Settle();
  fed_.ledger.Revoke("c02");  // committed, and the process is killed before anybody is told
  fed_.dispatcher.Forget();
  Restart();
  Settle();
  EXPECT_THAT(fed_.Rows(run_, 1), ElementsAre("c00 invited", "c01 invited", "c02 dropped"));
  EXPECT_THAT(fed_.dispatcher.tasks(), SizeIs(2));
  Accept(1, "c00");
  Accept(1, "c01");
  Settle();
  EXPECT_EQ(State(1), "committed");
}

TEST_F(RoundDriverTest, TooManyAbandonedRoundsInARowFailTheRun) {
  Start(TinyPlan());
  for (uint64_t round = 1; round <= 3; ++round) {
    Settle();
    for (const char* id : {"c00", "c01", "c02"}) Decline(round, id);
  }
  EXPECT_TRUE(Settle().ended);
  EXPECT_EQ(fed_.Run(run_).state(), "failed");
  EXPECT_THAT(fed_.Run(run_).reason(), StartsWith("max_failed_rounds: 3"));
}

TEST_F(RoundDriverTest, ACommittedRoundStartsTheCountOfFailuresAnew) {
  Start(TinyPlan());
  for (uint64_t round = 1; round <= 2; ++round) {
    Settle();
    for (const char* id : {"c00", "c01", "c02"}) Decline(round, id);
  }
  Settle();
  AcceptAll(3);
  Settle();
  for (const char* id : {"c00", "c01", "c02"}) Decline(4, id);
  Settle();
  EXPECT_EQ(fed_.Run(run_).state(), "running");
  AcceptAll(5);
  EXPECT_TRUE(Settle().ended);
  EXPECT_EQ(fed_.Run(run_).state(), "completed");
}

TEST_F(RoundDriverTest, ADamagedUpdateAbandonsTheRoundWithItsReason) {
  Start(TinyPlan());
  Settle();
  AcceptAll(1);
  const std::string sha256 = fed_.store().ListContributions(run_, 1)->at(0).update_sha256();
  std::fstream(fed_.ledger.blobs().PathOf(sha256), std::ios::in | std::ios::out | std::ios::binary).put('\x7f');
  Step();
  Step();
  EXPECT_EQ(State(1), "abandoned");
  EXPECT_THAT(fed_.Round(run_, 1).reason(), HasSubstr("update of client-c00"));
}

// ---- stalling

TEST_F(RoundDriverTest, TooFewClientsStallTheRunUntilTheyCome) {
  fed_.dispatcher.SetOnline("c01", false);
  fed_.dispatcher.SetOnline("c02", false);
  Start(TinyPlan());
  Settle();
  EXPECT_EQ(fed_.Run(run_).state(), "running");
  fed_.clock.Advance(absl::Seconds(30));
  Settle();
  EXPECT_EQ(fed_.Run(run_).state(), "stalled");
  EXPECT_THAT(fed_.Run(run_).reason(), StartsWith("too_few_clients: 1 of at least 2"));
  fed_.dispatcher.SetOnline("c02", true);
  Settle();
  EXPECT_EQ(fed_.Run(run_).state(), "running");
  EXPECT_EQ(fed_.Run(run_).reason(), "");
  EXPECT_EQ(State(1), "training");
}

TEST_F(RoundDriverTest, StalledForTooLongFailsAndCountsUpTimeOverRestarts) {
  for (const char* id : {"c00", "c01", "c02"}) fed_.dispatcher.SetOnline(id, false);
  Start(TinyPlan());
  Settle();
  fed_.clock.Advance(absl::Seconds(30));
  Settle();
  fed_.clock.Advance(absl::Minutes(40));
  Settle();
  Restart();
  Settle();
  fed_.clock.Advance(absl::Minutes(19));
  Settle();
  EXPECT_EQ(fed_.Run(run_).state(), "stalled");
  fed_.clock.Advance(absl::Minutes(1));
  EXPECT_TRUE(Settle().ended);
  EXPECT_EQ(fed_.Run(run_).state(), "failed");
  EXPECT_THAT(fed_.Run(run_).reason(), StartsWith("stall_timeout"));
  EXPECT_EQ(State(1), "abandoned");
}

// ---- stop, evaluation, times

TEST_F(RoundDriverTest, AStoppedRunCancelsWhatIsOut) {
  Start(TinyPlan());
  Settle();
  Accept(1, "c00");
  Decline(1, "c01");
  ASSERT_OK(fed_.store().SetRunState(run_, "stopped", "by hand", 1));
  board_->Interrupt();
  EXPECT_TRUE(Step().ended);
  EXPECT_THAT(fed_.dispatcher.cancels(), ElementsAre("c02 stopped"));
  EXPECT_EQ(State(1), "abandoned");
  EXPECT_EQ(driver_->Event().run().state(), "stopped");
}

TEST_F(RoundDriverTest, TheGlobalModelIsTestedWhenDueAndTheDataAreKept) {
  const testing::TempDir dir;
  v1::RunPlan plan = TinyPlan();
  plan.set_rounds(3);
  plan.mutable_evaluate()->set_every(2);
  plan.mutable_evaluate()->set_format("csv");
  plan.mutable_evaluate()->set_data(dir.Write("test.csv", "a,b,c,label\n1,2,3,0\n3,2,1,1\n0,1,0,0\n1,0,1,1\n"));
  Start(plan);
  for (uint64_t round = 1; round <= 3; ++round) {
    Settle();
    AcceptAll(round);
    if (round == 3) std::ofstream(plan.evaluate().data()) << "gone";
  }
  EXPECT_TRUE(Settle().ended);
  EXPECT_FALSE(fed_.Round(run_, 1).has_test_loss());
  for (const uint64_t round : {2, 3}) {
    EXPECT_TRUE(fed_.Round(run_, round).has_test_loss()) << fed_.Round(run_, round).reason();
    EXPECT_TRUE(fed_.Round(run_, round).has_test_accuracy());
    EXPECT_TRUE(fed_.Round(run_, round).has_test_f1());
  }
}

TEST_F(RoundDriverTest, AFailedEvaluationCommitsWithoutTestMetrics) {
  const testing::TempDir dir;
  v1::RunPlan plan = TinyPlan();
  plan.set_rounds(1);
  plan.mutable_evaluate()->set_every(1);
  plan.mutable_evaluate()->set_format("csv");
  plan.mutable_evaluate()->set_data(dir.Write("test.csv", "a,b,c,label\n1,2\n"));
  Start(plan);
  Settle();
  AcceptAll(1);
  EXPECT_TRUE(Settle().ended);
  EXPECT_EQ(State(1), "committed");
  EXPECT_FALSE(fed_.Round(run_, 1).has_test_loss());
  EXPECT_THAT(fed_.Round(run_, 1).reason(), StartsWith("evaluation_failed: "));
}

TEST_F(RoundDriverTest, AStopRuleCompletesTheRunEarly) {
  v1::RunPlan plan = TinyPlan();
  plan.set_rounds(100);
  plan.mutable_train()->set_validation_split(0.1);
  plan.mutable_stop()->set_metric("validation_accuracy");
  plan.mutable_stop()->set_target(0.75);
  Start(plan);
  Settle();
  AcceptAll(1);
  EXPECT_TRUE(Settle().ended);
  EXPECT_EQ(fed_.Run(run_).state(), "completed");
  EXPECT_EQ(fed_.Run(run_).rounds_done(), 1u);
  EXPECT_THAT(fed_.Run(run_).reason(), StartsWith("target_reached: validation_accuracy"));
}

TEST_F(RoundDriverTest, OverheadIsWhatIsNeitherTrainingNorEvaluation) {
  Start(TinyPlan());
  Settle();  // at 0; the fixture's clients say that they trained for 7 ms
  fed_.clock.Advance(absl::Milliseconds(20));
  board_->NoteTrainEnd("c00", fed_.clock.Monotonic());  // trained 13 to 20
  fed_.clock.Advance(absl::Milliseconds(30));
  board_->NoteTrainEnd("c01", fed_.clock.Monotonic());                          // trained 43 to 50
  board_->NoteTrainEnd("c01", fed_.clock.Monotonic() + absl::Milliseconds(5));  // a later word changes nothing
  board_->NoteTrainEnd("c02", fed_.clock.Monotonic());
  fed_.clock.Advance(absl::Milliseconds(10));
  AcceptAll(1);
  Settle();
  const v1::Round round = fed_.Round(run_, 1);
  EXPECT_EQ(round.total_ms(), 60u);
  EXPECT_EQ(round.train_ms(), 60u);
  EXPECT_EQ(round.overhead_ms(), 60u - (50u - 13u));
}

}  // namespace
}  // namespace tributary::rounds
