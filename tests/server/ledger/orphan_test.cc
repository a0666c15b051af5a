// Blobs whose row never came, because the coordinator was killed between the two: swept when the next one starts.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/files.h"
#include "server/ledger/verify.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::ledger {
namespace {

using testing::IsOkAndHolds;
using testing::LedgerFixture;

constexpr const char* kRun = "run-0001";

class OrphanTest : public ::testing::Test {
 protected:
  OrphanTest() : ledger_(OnDisk()) {}
  static LedgerFixture::Options OnDisk() {
    LedgerFixture::Options options;
    options.in_memory = false;
    return options;
  }
  bool Has(const std::string& sha256) { return ledger_.blobs().Contains(sha256); }
  LedgerFixture ledger_;
};

TEST_F(OrphanTest, AnUpdateThatWasTakenOverBeforeItsRowIsSweptAndMayComeAgain) {
  ledger_.CreateRun();
  const uint64_t round = ledger_.BeginRound(kRun, 2);
  const auto first = ledger_.MakeAcceptance(kRun, round, "c00", "named by a row");
  ASSERT_OK(ledger_.store().AcceptUpdate(first));
  const auto second = ledger_.MakeAcceptance(kRun, round, "c01", "renamed into place");
  // As an upload ends: the file of DIR/partial has become the blob, and here the coordinator is killed.
  const std::string partial = absl::StrCat(ledger_.directory(), "/upload");
  ASSERT_OK(ledger_.blobs().Remove(second.record.update_sha256()));
  ASSERT_OK(WriteFileDurably(partial, "renamed into place", 0600));
  ASSERT_OK(ledger_.blobs().Adopt(partial, second.record.update_sha256()));
  ASSERT_TRUE(Has(second.record.update_sha256()));

  ledger_.Reopen();
  EXPECT_FALSE(Has(second.record.update_sha256()));
  EXPECT_TRUE(Has(first.record.update_sha256()));
  const auto again = ledger_.MakeAcceptance(kRun, round, "c01", "renamed into place");
  ASSERT_OK_AND_ASSIGN(const auto result, ledger_.store().AcceptUpdate(again));
  EXPECT_EQ(result.kind, rounds::AcceptResult::Kind::kAccepted);
  ledger_.Reopen();
  EXPECT_TRUE(Has(again.record.update_sha256()));
}

TEST_F(OrphanTest, AModelThatWasStoredBeforeItsRowIsSwept) {
  ledger_.CreateRun();
  ledger_.CommitRound(kRun, 2);
  const std::string model = *ledger_.blobs().Put("aggregated, and then killed");
  ledger_.Reopen();
  EXPECT_FALSE(Has(model));
}

TEST_F(OrphanTest, AnUpdateThatWasLetGoAndCameBackWithTheFileSystemGoesAgain) {
  v1::RunPlan plan = LedgerFixture::Plan();
  plan.set_keep_updates("round");
  ledger_.CreateRun(plan, kRun);
  const uint64_t round = ledger_.BeginRound(kRun, 1);
  const auto update = ledger_.MakeAcceptance(kRun, round, "c00", "of a patient", 7);
  const std::string sha256 = update.record.update_sha256();
  ASSERT_OK(ledger_.store().AcceptUpdate(update));
  ASSERT_OK(ledger_.store().AbandonRound(kRun, round, {.reason = "x", .open_rows_become = "late"}, ledger_.now()));
  ASSERT_FALSE(Has(sha256));
  ASSERT_OK(ledger_.blobs().Put("of a patient"));  // as when its removal was not synced and the power was cut
  ledger_.Reopen();
  EXPECT_FALSE(Has(sha256));
}

TEST_F(OrphanTest, EveryBlobThatARowNamesStays) {
  for (const char* keep : {"round", "run", "forever"}) {
    v1::RunPlan plan = LedgerFixture::Plan();
    plan.set_keep_updates(keep);
    ledger_.CreateRun(plan, keep);
    ledger_.CommitRound(keep, 2);
    ledger_.CommitRound(keep, 2);
  }
  // One run in each later state of a round, with the model that only its open round names.
  ledger_.CreateRun(LedgerFixture::Plan(), "evaluating");
  const uint64_t round = ledger_.BeginRound("evaluating", 1);
  ASSERT_OK(ledger_.store().AcceptUpdate(ledger_.MakeAcceptance("evaluating", round, "c00", "u", 7)));
  ASSERT_OK(ledger_.store().BeginAggregating("evaluating", round, "late", "", 1));
  rounds::RoundResult result;
  result.new_model_sha256 = *ledger_.blobs().Put("not committed yet");
  result.examples = 7;
  ASSERT_OK(ledger_.store().BeginEvaluating("evaluating", round, result));
  const auto before = *ledger_.blobs().List();
  ASSERT_FALSE(before.empty());
  ledger_.Reopen();
  EXPECT_THAT(ledger_.blobs().List(), IsOkAndHolds(before));
  ASSERT_OK_AND_ASSIGN(const auto verified, VerifyDirectory(ledger_.directory(), VerifyOptions()));
  EXPECT_TRUE(verified.ok()) << verified.first_fault().what();
}

TEST_F(OrphanTest, WhatOnlyAnAbandonedRoundMadeIsSwept) {
  ledger_.CreateRun();
  const uint64_t round = ledger_.BeginRound(kRun, 1);
  ASSERT_OK(ledger_.store().AcceptUpdate(ledger_.MakeAcceptance(kRun, round, "c00", "u", 7)));
  ASSERT_OK(ledger_.store().BeginAggregating(kRun, round, "late", "", 1));
  rounds::RoundResult result;
  result.new_model_sha256 = *ledger_.blobs().Put("never the model");
  result.examples = 7;
  ASSERT_OK(ledger_.store().BeginEvaluating(kRun, round, result));
  ASSERT_OK(ledger_.store().AbandonRound(kRun, round, {.reason = "x", .open_rows_become = "late"}, ledger_.now()));
  ledger_.Reopen();
  EXPECT_FALSE(Has(result.new_model_sha256));
}

TEST_F(OrphanTest, AModelSentForARunToComeIsKeptForADay) {
  const std::string fresh = *ledger_.blobs().Put("sent a moment ago"),
                    old = *ledger_.blobs().Put("of a run never started");
  ASSERT_OK(ledger_.blobs().Offer(fresh));
  ASSERT_OK(ledger_.blobs().Offer(old));
  // By the ledger's clock.
  const timespec two_days_ago = absl::ToTimespec(ledger_.clock().Now() - absl::Hours(48));
  const timespec times[2] = {two_days_ago, two_days_ago};
  ASSERT_EQ(utimensat(AT_FDCWD, absl::StrCat(ledger_.blobs().PathOf(old), ".offered").c_str(), times, 0), 0);
  ledger_.Reopen();
  EXPECT_TRUE(Has(fresh));
  EXPECT_FALSE(Has(old));
  EXPECT_FALSE(FileExists(absl::StrCat(ledger_.blobs().PathOf(old), ".offered")));
}

// ---- deletions that keep_updates promised, and a crash forgot

TEST_F(OrphanTest, ALargeRunLetsGoOfAllItsUpdatesPieceByPiece) {
  ledger_.CreateRun();  // keep_updates "run"
  for (int round = 0; round < 10; ++round) ledger_.CommitRound(kRun, 8);
  const auto count = [this](const char* which) {
    return ledger_.database().QueryInt(absl::StrCat("SELECT count(*) FROM ", which)).value();
  };
  ASSERT_EQ(count("deleted_blobs"), 0);
  const int64_t updates = count("(SELECT DISTINCT update_sha256 FROM updates)");
  ASSERT_GT(updates, 64);
  ASSERT_OK(ledger_.store().SetRunState(kRun, "stopped", "by alice", ledger_.now()));
  EXPECT_EQ(count("deleted_blobs WHERE file_removed = 1"), updates);
  EXPECT_EQ(ledger_.blobs().List()->size(), 11u) << "the initial model and ten";
}

TEST_F(OrphanTest, UpdatesOfARunThatEndedJustBeforeACrashGoAtTheNextStart) {
  ledger_.CreateRun();
  ledger_.CommitRound(kRun, 2);
  const std::string update = ledger_.store().ListContributions(kRun, 1)->at(0).update_sha256();
  // The end is committed, its deletions are not noted yet.
  ASSERT_OK(ledger_.database().Run("UPDATE runs SET state = 'completed', ended_unix_ms = 1"));
  ASSERT_TRUE(Has(update));
  ledger_.Reopen();
  EXPECT_FALSE(Has(update));
  EXPECT_THAT(ledger_.database().QueryInt("SELECT count(*) FROM deleted_blobs WHERE file_removed = 1"),
              IsOkAndHolds(2));
}

TEST_F(OrphanTest, UpdatesOfARunningRunStayOverAStart) {
  ledger_.CreateRun();
  ledger_.CommitRound(kRun, 2);
  ledger_.Reopen();
  EXPECT_TRUE(Has(ledger_.store().ListContributions(kRun, 1)->at(0).update_sha256()));
}

}  // namespace
}  // namespace tributary::ledger
