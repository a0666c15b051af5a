#include "server/rounds/round.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tributary/v1/plan.pb.h"

namespace tributary::rounds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using S = RoundState;

// ---- the picture

TEST(RoundStateTest, OnlyTheDrawnArrowsExist) {
  const S all[] = {S::kSelecting, S::kTraining, S::kAggregating, S::kEvaluating, S::kCommitted, S::kAbandoned};
  const std::pair<S, S> drawn[] = {{S::kSelecting, S::kTraining},     {S::kTraining, S::kAggregating},
                                   {S::kAggregating, S::kEvaluating}, {S::kEvaluating, S::kCommitted},
                                   {S::kSelecting, S::kAbandoned},    {S::kTraining, S::kAbandoned},
                                   {S::kAggregating, S::kAbandoned},  {S::kEvaluating, S::kAbandoned}};
  for (const S from : all) {
    for (const S to : all) {
      const bool expected = std::find(std::begin(drawn), std::end(drawn), std::pair(from, to)) != std::end(drawn);
      EXPECT_EQ(MayFollow(from, to), expected) << RoundStateName(from) << " -> " << RoundStateName(to);
    }
  }
}

TEST(RoundStateTest, NamesAreTheLedgersAndComeBack) {
  EXPECT_EQ(RoundStateName(S::kSelecting), "selecting");
  EXPECT_EQ(RoundStateName(S::kAbandoned), "abandoned");
  for (const S s : {S::kSelecting, S::kTraining, S::kAggregating, S::kEvaluating, S::kCommitted, S::kAbandoned}) {
    EXPECT_EQ(ParseRoundState(RoundStateName(s)), s);
  }
  EXPECT_EQ(ParseRoundState("open"), std::nullopt);
}

TEST(RoundStateTest, AFinishedRoundNeverReopens) {
  EXPECT_TRUE(IsFinal(S::kCommitted));
  EXPECT_TRUE(IsFinal(S::kAbandoned));
  EXPECT_FALSE(IsFinal(S::kEvaluating));
}

// ---- the plan's words

TEST(RoundRulesTest, InvitationsAreClientsTimesOverSelectRoundedUp) {
  v1::RunPlan plan;
  plan.mutable_round()->set_clients(10);
  plan.mutable_round()->set_min_clients(3);
  plan.mutable_round()->set_over_select(1.25);
  plan.mutable_round()->set_deadline_ms(600000);
  const RoundRules rules = RoundRules::From(plan);
  EXPECT_EQ(rules.invitations, 13u);
  EXPECT_EQ(rules.target, 10u);
  EXPECT_EQ(rules.min_clients, 3u);
  EXPECT_EQ(rules.deadline, absl::Minutes(10));
}

// ---- SELECTING

RoundRules ThreeClients() {
  RoundRules rules;
  rules.rounds = 5;
  rules.target = rules.invitations = 3;
  rules.min_clients = 2;
  rules.deadline = absl::Minutes(10);
  rules.select_wait = absl::Seconds(30);
  rules.stall_timeout = absl::Hours(1);
  rules.max_failed_rounds = 3;
  return rules;
}

// "a+ b- c?" : a online, b offline, c has never said hello.
std::vector<SelectionCandidate> Ranked(const std::string& text) {
  std::vector<SelectionCandidate> ranked;
  for (size_t i = 0; i + 1 < text.size(); i += 3) {
    const std::string name(1, text[i]);
    ranked.push_back({"id-" + name, name, text[i + 1] == '+', text[i + 1] != '?'});
  }
  return ranked;
}

SelectingSnapshot At(const std::string& ranked, absl::Duration elapsed) {
  SelectingSnapshot now;
  now.ranked = Ranked(ranked);
  now.elapsed = elapsed;
  return now;
}

std::vector<std::string> Names(const SelectingDecision& decision) {
  std::vector<std::string> names;
  for (const SelectionCandidate& c : decision.invited) names.push_back(c.name);
  return names;
}

using Selecting = SelectingDecision::Action;

TEST(SelectingTest, TheLowestAreInvitedAtOnceWhenAllOfThemAreOnline) {
  const SelectingDecision d = DecideSelecting(ThreeClients(), At("a+ b+ c+ d+ e+", absl::ZeroDuration()));
  EXPECT_EQ(d.action, Selecting::kInvite);
  EXPECT_THAT(Names(d), ElementsAre("a", "b", "c"));
}

TEST(SelectingTest, AHigherRankedClientOnlineDoesNotReplaceALowerOneStillAwaited) {
  const SelectingDecision d = DecideSelecting(ThreeClients(), At("a+ b- c+ d+", absl::Seconds(10)));
  EXPECT_EQ(d.action, Selecting::kWait);
  EXPECT_EQ(d.wait, absl::Seconds(20));
}

TEST(SelectingTest, AfterTheWaitTheLowestThatAreOnlineAreTaken) {
  const SelectingDecision d = DecideSelecting(ThreeClients(), At("a+ b- c+ d- e+ f+", absl::Seconds(30)));
  EXPECT_EQ(d.action, Selecting::kInvite);
  EXPECT_THAT(Names(d), ElementsAre("a", "c", "e"));
}

TEST(SelectingTest, FewerEligibleThanWantedAreEnoughFromTheMinimumUp) {
  const SelectingDecision d = DecideSelecting(ThreeClients(), At("a+ b+", absl::ZeroDuration()));
  EXPECT_EQ(d.action, Selecting::kInvite);
  EXPECT_THAT(Names(d), ElementsAre("a", "b"));
}

TEST(SelectingTest, AClientThatHasNeverSaidHelloIsAwaitedButNotTaken) {
  EXPECT_EQ(DecideSelecting(ThreeClients(), At("a+ b+ c?", absl::Seconds(29))).action, Selecting::kWait);
  EXPECT_THAT(Names(DecideSelecting(ThreeClients(), At("a+ b+ c?", absl::Seconds(30)))), ElementsAre("a", "b"));
}

TEST(SelectingTest, OverSelectionInvitesMoreThanTheTarget) {
  RoundRules rules = ThreeClients();
  rules.invitations = 4;
  EXPECT_THAT(Names(DecideSelecting(rules, At("a+ b+ c+ d+ e+", absl::ZeroDuration()))),
              ElementsAre("a", "b", "c", "d"));
}

TEST(SelectingTest, NobodyStallsOnlyAfterTheWait) {
  EXPECT_EQ(DecideSelecting(ThreeClients(), At("", absl::Seconds(29))).action, Selecting::kWait);
  SelectingSnapshot now = At("", absl::Seconds(30));
  now.shortage = "1 enrolled, 1 not eligible, e.g. b: label region is not eu";
  const SelectingDecision d = DecideSelecting(ThreeClients(), now);
  EXPECT_EQ(d.action, Selecting::kStall);
  EXPECT_THAT(d.reason, StartsWith("too_few_clients: 0 of at least 2 clients online"));
  EXPECT_THAT(d.reason, HasSubstr("label region is not eu"));
}

TEST(SelectingTest, AStalledRunWaitsForTheTimeout) {
  SelectingSnapshot now = At("a+ b- c-", absl::Minutes(2));
  now.stalled = true;
  now.stalled_for = absl::Minutes(20);
  const SelectingDecision d = DecideSelecting(ThreeClients(), now);
  EXPECT_EQ(d.action, Selecting::kWait);
  EXPECT_EQ(d.wait, absl::Minutes(40));
}

TEST(SelectingTest, AStalledRunGoesOnAsSoonAsTheMinimumIsOnline) {
  SelectingSnapshot now = At("a- b+ c- d+", absl::Minutes(2));
  now.stalled = true;
  now.stalled_for = absl::Minutes(1);
  const SelectingDecision d = DecideSelecting(ThreeClients(), now);
  EXPECT_EQ(d.action, Selecting::kInvite);
  EXPECT_THAT(Names(d), ElementsAre("b", "d"));
}

TEST(SelectingTest, StalledForTooLongFails) {
  SelectingSnapshot now = At("a+ b-", absl::Hours(2));
  now.stalled = true;
  now.stalled_for = absl::Hours(1);
  const SelectingDecision d = DecideSelecting(ThreeClients(), now);
  EXPECT_EQ(d.action, Selecting::kFail);
  EXPECT_THAT(d.reason, StartsWith("stall_timeout: too_few_clients: 1 of at least 2"));
}

// ---- TRAINING

TrainingSnapshot Training(uint64_t accepted, uint64_t open, absl::Duration elapsed = absl::Seconds(60)) {
  TrainingSnapshot now;
  now.target = 3;
  now.accepted = accepted;
  now.open = open;
  now.elapsed = elapsed;
  return now;
}

using Close = TrainingDecision::Action;

TEST(TrainingTest, WaitsForTheDeadlineWhileClientsAreOpen) {
  const TrainingDecision d = DecideTraining(ThreeClients(), Training(2, 1));
  EXPECT_EQ(d.action, Close::kWait);
  EXPECT_EQ(d.wait, absl::Minutes(9));
}

TEST(TrainingTest, TheTargetClosesItAndTheRestIsNotNeeded) {
  const TrainingDecision d = DecideTraining(ThreeClients(), Training(3, 2));
  EXPECT_EQ(d.action, Close::kAggregate);
  EXPECT_EQ(d.open_rows_become, "not_needed");
  EXPECT_FALSE(d.at_deadline);
}

TEST(TrainingTest, NobodyOpenClosesItBeforeTheDeadline) {
  const TrainingDecision d = DecideTraining(ThreeClients(), Training(2, 0));
  EXPECT_EQ(d.action, Close::kAggregate);
  EXPECT_THAT(d.reason, StartsWith("no_client_open: 2 of 3"));
}

TEST(TrainingTest, NobodyOpenAndTooFewIsAbandoned) {
  const TrainingDecision d = DecideTraining(ThreeClients(), Training(1, 0));
  EXPECT_EQ(d.action, Close::kAbandon);
  EXPECT_THAT(d.reason, StartsWith("too_few_updates: 1 of at least 2"));
}

TEST(TrainingTest, TheDeadlineClosesItWithWhatIsThere) {
  const TrainingDecision d = DecideTraining(ThreeClients(), Training(2, 1, absl::Minutes(10)));
  EXPECT_EQ(d.action, Close::kAggregate);
  EXPECT_TRUE(d.at_deadline);
  EXPECT_EQ(d.open_rows_become, "late");
}

TEST(TrainingTest, TheDeadlineWithTooFewAbandons) {
  const TrainingDecision d = DecideTraining(ThreeClients(), Training(1, 2, absl::Minutes(11)));
  EXPECT_EQ(d.action, Close::kAbandon);
  EXPECT_EQ(d.open_rows_become, "late");
  EXPECT_THAT(d.reason, HasSubstr("deadline"));
}

TEST(TrainingTest, ATargetReachedAtTheDeadlineIsNotADeadline) {
  const TrainingDecision d = DecideTraining(ThreeClients(), Training(3, 1, absl::Minutes(11)));
  EXPECT_EQ(d.action, Close::kAggregate);
  EXPECT_EQ(d.open_rows_become, "not_needed");
}

// After a restart the time before it counts, and a round whose deadline passed while it was up closes at once.
TEST(TrainingTest, RestartGoesOnFromTheElapsedTime) {
  EXPECT_EQ(DecideTraining(ThreeClients(), Training(0, 3, absl::Minutes(4))).wait, absl::Minutes(6));
  EXPECT_NE(DecideTraining(ThreeClients(), Training(0, 3, absl::Minutes(10))).action, Close::kWait);
}

TEST(TrainingTest, OnlyInvitedAndAcceptedTasksAreOpen) {
  EXPECT_TRUE(IsOpenContribution("invited"));
  EXPECT_TRUE(IsOpenContribution("accepted_task"));
  for (const char* s : {"declined", "late", "dropped", "rejected", "not_needed", "accepted", ""}) {
    EXPECT_FALSE(IsOpenContribution(s)) << s;
  }
}

// ---- between rounds

using Run = RunDecision::Action;

TEST(RunDecisionTest, GoesOnUntilAllRoundsAreCommitted) {
  RunSnapshot now;
  now.committed = 4;
  EXPECT_EQ(DecideRun(ThreeClients(), now).action, Run::kNextRound);
  now.committed = 5;
  EXPECT_EQ(DecideRun(ThreeClients(), now).action, Run::kComplete);
}

TEST(RunDecisionTest, AbandonedRoundsInARowFailIt) {
  RunSnapshot now;
  now.abandoned_in_a_row = 2;
  EXPECT_EQ(DecideRun(ThreeClients(), now).action, Run::kNextRound);
  now.abandoned_in_a_row = 3;
  const RunDecision d = DecideRun(ThreeClients(), now);
  EXPECT_EQ(d.action, Run::kFail);
  EXPECT_THAT(d.reason, StartsWith("max_failed_rounds: 3"));
}

TEST(RunDecisionTest, AnAccuracyTargetIsReachedFromBelow) {
  RoundRules rules = ThreeClients();
  rules.stop_metric = "test_accuracy";
  rules.stop_target = 0.98;
  RunSnapshot now;
  now.committed = 1;
  EXPECT_EQ(DecideRun(rules, now).action, Run::kNextRound) << "not measured";
  now.test_accuracy = 0.9799;
  EXPECT_EQ(DecideRun(rules, now).action, Run::kNextRound);
  now.test_accuracy = 0.98;
  EXPECT_EQ(DecideRun(rules, now).action, Run::kComplete);
  EXPECT_THAT(DecideRun(rules, now).reason, StartsWith("target_reached: test_accuracy 0.98"));
}

TEST(RunDecisionTest, ALossTargetIsReachedFromAboveAndNeverByNaN) {
  RoundRules rules = ThreeClients();
  rules.stop_metric = "validation_loss";
  rules.stop_target = 0.5;
  RunSnapshot now;
  now.validation_loss = 0.51;
  EXPECT_EQ(DecideRun(rules, now).action, Run::kNextRound);
  now.validation_loss = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(DecideRun(rules, now).action, Run::kNextRound);
  now.validation_loss = 0.5;
  EXPECT_EQ(DecideRun(rules, now).action, Run::kComplete);
}

TEST(EvaluationDueTest, EveryNthAndTheLast) {
  v1::RunPlan plan;
  plan.set_rounds(7);
  plan.mutable_evaluate()->set_every(3);
  plan.mutable_evaluate()->set_data("synthetic");
  std::vector<uint64_t> due;
  for (uint64_t r = 1; r <= 7; ++r) {
    if (EvaluationDue(plan, r)) due.push_back(r);
  }
  EXPECT_THAT(due, ElementsAre(3, 6, 7));
}

TEST(EvaluationDueTest, NeverWithoutDataOrWithEveryZero) {
  v1::RunPlan plan;
  plan.set_rounds(1);
  plan.mutable_evaluate()->set_every(1);
  EXPECT_FALSE(EvaluationDue(plan, 1));
  plan.mutable_evaluate()->set_data("synthetic");
  plan.mutable_evaluate()->set_every(0);
  EXPECT_FALSE(EvaluationDue(plan, 1));
}

}  // namespace
}  // namespace tributary::rounds
