// What rounds::RunStore promises, on the SQLite ledger: in memory, and in a file that is closed and opened again
// between the steps.
#include "server/ledger/ledger_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/ledger/history.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::ledger {
namespace {

using rounds::NewRun;
using rounds::RoundEvaluation;
using rounds::RoundResult;
using rounds::RoundTimes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::LedgerFixture;
using ::testing::Not;
using testing::StatusIs;
using Kind = rounds::AcceptResult::Kind;

class LedgerStoreTest : public ::testing::TestWithParam<bool> {
 protected:
  LedgerStoreTest() : ledger_(Options()) {}

  static LedgerFixture::Options Options() {
    LedgerFixture::Options options;
    options.in_memory = GetParam();
    return options;
  }
  LedgerStore& store() { return ledger_.store(); }
  int64_t now() const { return ledger_.now(); }
  // Everything must be as it was after a restart, at any step.
  void MaybeReopen() {
    if (!GetParam()) ledger_.Reopen();
  }
  std::string StateOf(const std::string& run, uint64_t round) { return store().GetRound(run, round)->round.state(); }
  v1::Contribution ContributionOf(const std::string& run, uint64_t round, const std::string& client_id) {
    const auto rows = store().ListContributions(run, round).value();
    for (const auto& row : rows) {
      if (row.client_id() == client_id) return row;
    }
    return {};
  }
  absl::StatusOr<rounds::RunRow> Abandon(const std::string& run, uint64_t round) {
    return store().AbandonRound(run, round, {.reason = "too_few: 0 of 1", .open_rows_become = "dropped"}, now());
  }
  // Brings a new round with one accepted update to this state.
  uint64_t RoundIn(const std::string& run, const std::string& state) {
    if (state == "selecting") return store().OpenRound(run, now())->round.round();
    const uint64_t round = ledger_.BeginRound(run, 2);
    if (state == "training") return round;
    EXPECT_THAT(store().AcceptUpdate(ledger_.MakeAcceptance(run, round, "c00", "u", 7)), IsOk());
    EXPECT_OK(store().BeginAggregating(run, round, "late", "deadline: passed", 11));
    if (state == "aggregating") return round;
    RoundResult result;
    result.new_model_sha256 = *ledger_.blobs().Put(absl::StrCat("model", round));
    result.examples = 7;
    EXPECT_OK(store().BeginEvaluating(run, round, result));
    if (state == "evaluating") return round;
    const bool ok = state == "committed" ? store().CommitRound(run, round, RoundEvaluation(), RoundTimes(), now()).ok()
                                         : Abandon(run, round).ok();
    EXPECT_TRUE(ok) << state;
    return round;
  }

  LedgerFixture ledger_;
};

INSTANTIATE_TEST_SUITE_P(Stores, LedgerStoreTest, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "memory" : "file"; });

TEST_P(LedgerStoreTest, NewRunIsRunningWithAGenesisRecord) {
  const std::string id = ledger_.CreateRun();
  MaybeReopen();
  ASSERT_OK_AND_ASSIGN(const auto row, store().GetRun(id));
  EXPECT_EQ(row.run.state(), "running");
  EXPECT_EQ(row.run.name(), "digits");
  EXPECT_EQ(row.run.rounds_total(), 10u);
  EXPECT_EQ(row.run.seed(), 1u);
  EXPECT_EQ(row.run.created_unix_ms(), now());
  EXPECT_EQ(row.run.model_sha256(), row.run.initial_model_sha256());
  EXPECT_EQ(row.run.head_sha256(), row.run.genesis_sha256());
  EXPECT_EQ(row.run.genesis_sha256().size(), 64u);
  EXPECT_FALSE(row.run.has_best_round());
  EXPECT_THAT(row.receipt_certificate_pem, HasSubstr("BEGIN CERTIFICATE"));
}

TEST_P(LedgerStoreTest, TheSameRequestMakesOneRun) {
  const std::string id = ledger_.CreateRun();
  NewRun again;
  again.request_id = "request-run-0001";
  again.id = "another";
  MaybeReopen();
  ASSERT_OK_AND_ASSIGN(const auto row, store().CreateRun(again));
  EXPECT_EQ(row.run.id(), id);
  EXPECT_EQ(store().ListRuns(false)->size(), 1u);
}

TEST_P(LedgerStoreTest, ASeedOf64BitsSurvives) {
  v1::RunPlan plan = LedgerFixture::Plan();
  plan.set_seed(UINT64_MAX);
  EXPECT_EQ(store().GetRun(ledger_.CreateRun(plan))->run.seed(), UINT64_MAX);
}

TEST_P(LedgerStoreTest, BadRunsAreRefusedWhole) {
  NewRun run;
  run.id = "run-1";
  run.plan_bytes = "\xff\xff";
  run.initial_model_sha256 = std::string(64, 'a');
  EXPECT_THAT(store().CreateRun(run), StatusIs(absl::StatusCode::kInvalidArgument));
  run.plan_bytes = LedgerFixture::Plan().SerializeAsString();
  run.initial_model_sha256 = "no digest";
  EXPECT_THAT(store().CreateRun(run), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(store().ListRuns(false)->empty());
  EXPECT_TRUE(store().ListAudit(0)->empty());
}

TEST_P(LedgerStoreTest, AnIdIsTakenOnce) {
  ledger_.CreateRun();
  NewRun run;
  run.id = "run-0001";
  run.plan_bytes = LedgerFixture::Plan().SerializeAsString();
  run.initial_model_sha256 = std::string(64, 'a');
  EXPECT_THAT(store().CreateRun(run), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_P(LedgerStoreTest, RunsAreFoundByIdPrefixAndName) {
  v1::RunPlan plan = LedgerFixture::Plan();
  ledger_.CreateRun(plan, "abcd1111");
  ledger_.CreateRun(plan, "abcd2222");
  plan.set_name("cats");
  ledger_.CreateRun(plan, "eeee3333");
  EXPECT_EQ(*store().ResolveRun("abcd1111"), "abcd1111");
  EXPECT_EQ(*store().ResolveRun("abcd1"), "abcd1111");
  EXPECT_EQ(*store().ResolveRun("cats"), "eeee3333");
  EXPECT_THAT(store().ResolveRun("abcd"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(store().ResolveRun("digits"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(store().ResolveRun("eee"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().ResolveRun(""), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().ResolveRun("%"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(LedgerStoreTest, RunsAreListedNewestFirst) {
  ledger_.CreateRun(LedgerFixture::Plan(), "run-a");
  ledger_.CreateRun(LedgerFixture::Plan(), "run-b");
  ASSERT_OK(store().SetRunState("run-a", "stopped", "by operator/local", now()));
  ASSERT_OK_AND_ASSIGN(const auto all, store().ListRuns(false));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].run.id(), "run-b");
  ASSERT_OK_AND_ASSIGN(const auto active, store().ListRuns(true));
  ASSERT_EQ(active.size(), 1u);
  EXPECT_EQ(active[0].run.id(), "run-b");
}

// ---- run states

TEST_P(LedgerStoreTest, RunStatesMoveAsDrawn) {
  const std::string states[] = {"running", "stalled", "completed", "failed", "stopped"};
  for (const std::string& from : states) {
    for (const std::string& to : states) {
      const std::string id = ledger_.CreateRun(LedgerFixture::Plan(), absl::StrCat("run-", from, "-", to));
      ASSERT_OK(store().SetRunState(id, from, "", now()));
      const bool allowed = from == "running" || from == "stalled";
      EXPECT_EQ(store().SetRunState(id, to, "why", now()).ok(), allowed) << from << " to " << to;
      MaybeReopen();
      EXPECT_EQ(store().GetRun(id)->run.state(), allowed ? to : from);
    }
  }
  EXPECT_THAT(store().SetRunState("run-running-stalled", "paused", "", now()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(store().SetRunState("nobody", "stopped", "", now()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(LedgerStoreTest, EndingARunAbandonsItsOpenRound) {
  const std::string run = ledger_.CreateRun();
  const uint64_t round = ledger_.BeginRound(run, 2);
  ASSERT_OK(store().SetRunState(run, "stopped", "by operator/local", now() + 5));
  MaybeReopen();
  ASSERT_OK_AND_ASSIGN(const auto row, store().GetRound(run, round));
  EXPECT_EQ(row.round.state(), "abandoned");
  EXPECT_THAT(row.round.reason(), HasSubstr("by operator/local"));
  EXPECT_EQ(row.round.model_sha256(), row.round.base_model_sha256());
  EXPECT_EQ(ContributionOf(run, round, "c00").state(), "not_needed");
  EXPECT_EQ(store().GetRun(run)->run.ended_unix_ms(), now() + 5);
  EXPECT_FALSE(store().GetOpenRound(run)->has_value());
  EXPECT_THAT(store().OpenRound(run, now()), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(LedgerStoreTest, StalledTimeIsKeptWhileStalled) {
  const std::string run = ledger_.CreateRun();
  EXPECT_THAT(store().SaveStalled(run, 5), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(store().SetRunState(run, "stalled", "too few clients", now()));
  ASSERT_OK(store().SaveStalled(run, 5000));
  MaybeReopen();
  EXPECT_EQ(store().GetRun(run)->stalled_ms, 5000u);
  ASSERT_OK(store().SetRunState(run, "running", "", now()));
  EXPECT_EQ(store().GetRun(run)->stalled_ms, 0u);
  EXPECT_THAT(store().SaveStalled("nobody", 5), StatusIs(absl::StatusCode::kNotFound));
}

// ---- round states

TEST_P(LedgerStoreTest, RoundsMoveAsDrawnAndNoOtherWay) {
  const char* const states[] = {"selecting", "training", "aggregating", "evaluating", "committed", "abandoned"};
  for (const std::string state : states) {
    const std::string run = ledger_.CreateRun(LedgerFixture::Plan(), absl::StrCat("run-", state));
    const uint64_t round = RoundIn(run, state);
    MaybeReopen();
    ASSERT_EQ(StateOf(run, round), state);
    const bool closed = state == "committed" || state == "abandoned";
    EXPECT_EQ(store().OpenRound(run, now()).ok(), closed) << state;
    EXPECT_EQ(store().SaveElapsed(run, round, 1, 2).ok(), !closed) << state;
    if (state != "selecting") {
      EXPECT_THAT(store().CommitInvitations(run, round, 1, {}, 0), StatusIs(absl::StatusCode::kFailedPrecondition));
    }
    if (state != "training") {
      EXPECT_THAT(store().BeginAggregating(run, round, "late", "", 0), StatusIs(absl::StatusCode::kFailedPrecondition));
    }
    if (state != "aggregating") {
      EXPECT_THAT(store().BeginEvaluating(run, round, RoundResult()), StatusIs(absl::StatusCode::kFailedPrecondition));
    }
    if (state != "evaluating") {
      EXPECT_THAT(store().CommitRound(run, round, RoundEvaluation(), RoundTimes(), now()),
                  StatusIs(absl::StatusCode::kFailedPrecondition));
    }
    ASSERT_EQ(StateOf(run, round), state) << "a refused step changed it";
    EXPECT_EQ(Abandon(run, round).ok(), !closed) << state;
  }
}

TEST_P(LedgerStoreTest, UnknownRoundsAreNotFound) {
  const std::string run = ledger_.CreateRun();
  EXPECT_THAT(store().GetRound(run, 1), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().CommitInvitations(run, 1, 1, {}, 0), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().BeginAggregating(run, 1, "late", "", 0), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().BeginEvaluating(run, 1, RoundResult()), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().CommitRound(run, 1, RoundEvaluation(), RoundTimes(), now()),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Abandon(run, 1), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().OpenRound("nobody", now()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(LedgerStoreTest, TheNextRoundStartsFromTheCommittedModelAndRecord) {
  const std::string run = ledger_.CreateRun();
  const uint64_t first = ledger_.CommitRound(run, 2);
  MaybeReopen();
  ASSERT_OK_AND_ASSIGN(const auto row, store().GetRun(run));
  ASSERT_OK_AND_ASSIGN(const auto committed, store().GetRound(run, first));
  EXPECT_EQ(row.run.rounds_done(), 1u);
  EXPECT_EQ(row.run.model_sha256(), committed.round.model_sha256());
  EXPECT_EQ(row.run.head_sha256(), committed.round.record_sha256());
  EXPECT_THAT(row.run.engines(), ElementsAre("0.1.0/avx2/float32"));
  ASSERT_OK_AND_ASSIGN(const auto next, store().OpenRound(run, now()));
  EXPECT_EQ(next.round.round(), first + 1);
  EXPECT_EQ(next.round.base_model_sha256(), committed.round.model_sha256());
  EXPECT_EQ(next.previous_record_sha256, committed.round.record_sha256());
  EXPECT_EQ(next.round.record_sha256(), "");
}

TEST_P(LedgerStoreTest, AnAbandonedRoundKeepsTheModelAndItsNumber) {
  const std::string run = ledger_.CreateRun();
  ASSERT_OK_AND_ASSIGN(const auto after, Abandon(run, ledger_.BeginRound(run, 2)));
  EXPECT_EQ(after.abandoned_in_a_row, 1u);
  EXPECT_EQ(after.run.rounds_done(), 0u);
  EXPECT_EQ(after.run.model_sha256(), after.run.initial_model_sha256());
  EXPECT_NE(after.run.head_sha256(), after.run.genesis_sha256());
  EXPECT_EQ(ContributionOf(run, 1, "c00").state(), "dropped");
  EXPECT_EQ(ledger_.CommitRound(run, 1), 2u);
  EXPECT_EQ(store().GetRun(run)->abandoned_in_a_row, 0u);
}

TEST_P(LedgerStoreTest, WhatWasMeasuredComesBackAndTheRestIsAbsent) {
  const std::string run = ledger_.CreateRun();
  const uint64_t round = ledger_.CommitRound(run, 2, 0.875);
  MaybeReopen();
  ASSERT_OK_AND_ASSIGN(const auto row, store().GetRound(run, round));
  EXPECT_EQ(row.round.invited(), 2u);
  EXPECT_EQ(row.round.accepted(), 2u);
  EXPECT_EQ(row.round.examples(), 200u);
  EXPECT_EQ(row.round.test_accuracy(), 0.875);
  EXPECT_EQ(row.round.train_loss(), 0.25);
  EXPECT_EQ(row.round.model_norm(), 1.25);
  EXPECT_EQ(row.round.select_ms(), 5u);
  EXPECT_EQ(row.round.train_ms(), 20u);
  EXPECT_EQ(row.round.overhead_ms(), 4u);
  EXPECT_GT(row.round.bytes_up(), 0u);
  const v1::Contribution contribution = ContributionOf(run, round, "c01");
  EXPECT_EQ(contribution.state(), "accepted");
  EXPECT_EQ(contribution.client(), "client-c01");
  EXPECT_EQ(contribution.weight(), 100u);
  EXPECT_EQ(contribution.train_ms(), 7u);
  EXPECT_EQ(contribution.upload_ms(), 3u);
  EXPECT_EQ(contribution.update_norm(), 1.5);
  const uint64_t bare = RoundIn(run, "committed");
  ASSERT_OK_AND_ASSIGN(const auto without, store().GetRound(run, bare));
  EXPECT_FALSE(without.round.has_test_accuracy());
  EXPECT_FALSE(without.round.has_train_loss());
  EXPECT_FALSE(without.round.has_overhead_ms());
}

TEST_P(LedgerStoreTest, AFailedEvaluationCommitsAndSaysWhy) {
  const std::string run = ledger_.CreateRun();
  const uint64_t round = RoundIn(run, "evaluating");
  RoundEvaluation evaluation;
  evaluation.failure = "test set: no such file";
  ASSERT_OK(store().CommitRound(run, round, evaluation, RoundTimes(), now()));
  EXPECT_EQ(store().GetRound(run, round)->round.reason(), "test set: no such file");
}

TEST_P(LedgerStoreTest, AggregatingOtherExamplesThanWereAcceptedIsRefused) {
  const std::string run = ledger_.CreateRun();
  const uint64_t round = RoundIn(run, "aggregating");
  RoundResult result;
  result.new_model_sha256 = std::string(64, 'a');
  result.examples = 8;
  EXPECT_THAT(store().BeginEvaluating(run, round, result), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(LedgerStoreTest, ElapsedTimesSurvive) {
  const std::string run = ledger_.CreateRun();
  const uint64_t round = ledger_.BeginRound(run, 2);
  ASSERT_OK(store().SaveElapsed(run, round, 5, 12'345));
  MaybeReopen();
  ASSERT_OK_AND_ASSIGN(const auto open, store().GetOpenRound(run));
  ASSERT_TRUE(open.has_value());
  EXPECT_EQ(open->training_elapsed_ms, 12'345u);
  EXPECT_EQ(open->selecting_elapsed_ms, 5u);
  EXPECT_EQ(open->target, 2u);
}

TEST_P(LedgerStoreTest, TheInvitedListIsWrittenWholeOrNotAtAll) {
  const std::string run = ledger_.CreateRun();
  const uint64_t round = RoundIn(run, "selecting");
  EXPECT_THAT(store().CommitInvitations(run, round, 2, {{"c00", "a", "task-1"}, {"stranger", "b", "task-2"}}, 0),
              Not(IsOk()));
  EXPECT_THAT(store().CommitInvitations(run, round, 2, {{"c00", "a", "task-1"}, {"c00", "a", "task-2"}}, 0),
              Not(IsOk()));
  EXPECT_EQ(StateOf(run, round), "selecting");
  EXPECT_TRUE(store().ListContributions(run, round)->empty());
}

TEST_P(LedgerStoreTest, BestRoundIsTheHighestTestAccuracyAndTheEarliestWinsTies) {
  const std::string run = ledger_.CreateRun();
  ledger_.CommitRound(run, 1, 0.5);
  EXPECT_EQ(store().GetRun(run)->run.best_round(), 1u);
  ledger_.CommitRound(run, 1, 0.75);
  EXPECT_EQ(store().GetRun(run)->run.best_round(), 2u);
  ledger_.CommitRound(run, 1, 0.75);
  ledger_.CommitRound(run, 1, 0.25);
  EXPECT_EQ(store().GetRun(run)->run.best_round(), 2u);
}

TEST_P(LedgerStoreTest, RoundsAreListedInOrderAndByPages) {
  const std::string run = ledger_.CreateRun();
  for (int i = 0; i < 5; ++i) ledger_.CommitRound(run, 1);
  ASSERT_OK_AND_ASSIGN(const auto all, store().ListRounds(run));
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(all[0].round.round(), 1u);
  EXPECT_EQ(all[0].round.record_sha256().size(), 64u);
  ASSERT_OK_AND_ASSIGN(const auto page, store().ListNewestRounds(run, 5, 2));
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0].round.round(), 4u);
  EXPECT_EQ(page[1].round.round(), 3u);
  EXPECT_EQ(store().ListNewestRounds(run, 0, UINT64_MAX)->front().round.round(), 5u);
}

// ---- the chain, events, audit

TEST_P(LedgerStoreTest, LinksLeadFromGenesisToHead) {
  const std::string run = ledger_.CreateRun();
  ledger_.CommitRound(run, 1);
  ASSERT_OK(Abandon(run, ledger_.BeginRound(run, 1)));
  MaybeReopen();
  ASSERT_OK_AND_ASSIGN(const auto links, store().ListLinks(run, 0, UINT64_MAX));
  ASSERT_EQ(links.size(), 3u);
  EXPECT_EQ(links[0].record_sha256, store().GetRun(run)->run.genesis_sha256());
  EXPECT_EQ(links[2].record_sha256, store().GetRun(run)->run.head_sha256());
  EXPECT_EQ(links[1].record_sha256, store().GetRound(run, 1)->round.record_sha256());
  ASSERT_OK_AND_ASSIGN(const auto one, store().ListLinks(run, 1, 1));
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].round, 1u);
}

TEST_P(LedgerStoreTest, OnePeerCannotFillTheAudit) {
  const auto add = [&](const std::string& actor, const std::string& subject, const std::string& outcome, int times) {
    v1::AuditEntry entry;
    entry.set_actor(actor);
    entry.set_action("try");
    entry.set_subject(subject);
    entry.set_outcome(outcome);
    for (int i = 0; i < times; ++i) ASSERT_THAT(store().AddAudit(entry), IsOk());
  };
  const auto rows = [&](const std::string& actor) {
    const auto all = store().ListAudit(10'000);
    return std::count_if(all->begin(), all->end(), [&](const v1::AuditEntry& e) { return e.actor() == actor; });
  };
  add("client/a", "", "refused: no", 130);
  add("client/b", "", "refused: no", 2);
  add("operator/local", "", "refused: no", 130);
  add("stranger/1.2.3.4:5", "x", "refused: no", 60);
  add("stranger/1.2.3.4:6", "y", "refused: no", 60);
  add("stranger/1.2.3.4:7", "berlin", "ok", 1);
  EXPECT_EQ(rows("client/a"), 100);
  EXPECT_EQ(rows("client/b"), 2);
  EXPECT_EQ(rows("operator/local"), 130);
  EXPECT_EQ(rows("stranger/1.2.3.4:5") + rows("stranger/1.2.3.4:6"), 100) << "a port is cheap";
  EXPECT_EQ(rows("stranger/1.2.3.4:7"), 1) << "who joined is told whatever the others do";

  ASSERT_THAT(store().TellLeftOut(), IsOk());
  ASSERT_THAT(store().TellLeftOut(), IsOk());
  EXPECT_EQ(rows("coordinator"), 2) << "once each";
  const auto newest = store().ListAudit(2);
  EXPECT_EQ(newest->at(0).subject() + ": " + newest->at(0).outcome(), "strangers: 20 rows of the audit");
  EXPECT_EQ(newest->at(1).subject() + ": " + newest->at(1).outcome(), "client/a: 30 rows of the audit");
  ledger_.clock().Advance(absl::Seconds(30));
  add("client/a", "", "refused: no", 5);
  EXPECT_EQ(rows("client/a"), 101);
}

TEST_P(LedgerStoreTest, OneClientCannotFillTheEvents) {
  const auto rows = [&](const std::string& client) {
    int64_t count = 0;
    EXPECT_TRUE(ledger_.database()
                    .QueryOne("SELECT count(*) FROM events WHERE client_id = ?1", {client},
                              [&](const storage::Row& row) { count = row.Int(0); })
                    .ok());
    return count;
  };
  for (uint64_t i = 0; i < 130; ++i) ASSERT_THAT(store().AddEvent("r", i, "c00", "late_change", "x", 1), IsOk());
  ASSERT_THAT(store().AddEvent("r", 1, "c01", "late_change", "x", 1), IsOk());
  EXPECT_EQ(rows("c00"), 100);
  EXPECT_EQ(rows("c01"), 1);
  ASSERT_THAT(store().TellLeftOut(), IsOk());
  const auto newest = store().ListAudit(1);
  EXPECT_EQ(newest->at(0).subject() + ": " + newest->at(0).outcome(), "c00: 30 events");
}

// However slowly it sends them.
TEST_P(LedgerStoreTest, OneClientsEventsOfOneRoundHaveAnEnd) {
  for (int i = 0; i < 40; ++i) ASSERT_THAT(store().AddEvent("r", 1, "c00", "late_change", "x", 1), IsOk());
  ASSERT_THAT(store().AddEvent("r", 1, "c01", "late_change", "y", 1), IsOk());
  ASSERT_THAT(store().AddEvent("r", 2, "c00", "late_change", "z", 1), IsOk());
  std::vector<std::string> details;
  ASSERT_THAT(ledger_.database().Query("SELECT detail FROM events ORDER BY sequence", {},
                                       [&](const storage::Row& row) {
                                         details.push_back(row.Text(0));
                                         return absl::OkStatus();
                                       }),
              IsOk());
  ASSERT_EQ(details.size(), 34u);
  EXPECT_EQ(details[31], "x (and what follows is not kept)");
  EXPECT_EQ(details[32], "y");
  EXPECT_EQ(details[33], "z");
}

TEST_P(LedgerStoreTest, TheAuditCountsUpAndListsNewestFirst) {
  ledger_.CreateRun();
  v1::AuditEntry entry;
  entry.set_time_unix_ms(5);
  entry.set_actor("stranger/10.0.0.1");
  entry.set_action("enrol");
  entry.set_subject("-");
  entry.set_outcome("refused: expired");
  ASSERT_OK(store().AddAudit(entry));
  MaybeReopen();
  ASSERT_OK_AND_ASSIGN(const auto entries, store().ListAudit(0));
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].outcome(), "refused: expired");
  EXPECT_EQ(entries[1].action(), "run.start");
  EXPECT_EQ(entries[1].actor(), "operator/local");
  EXPECT_GT(entries[0].sequence(), entries[1].sequence());
  EXPECT_EQ(store().ListAudit(1)->size(), 1u);
}

}  // namespace
}  // namespace tributary::ledger
