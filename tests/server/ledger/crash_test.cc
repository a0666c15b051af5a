// What is on the disk at any instant is what a kill -9 leaves. These tests take a copy of the files in that state, open
// it as a restart would, and look.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/ledger/ledger_store.h"
#include "server/ledger/verify.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::ledger {
namespace {

namespace fs = std::filesystem;
using storage::Database;
using storage::Transaction;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::LedgerFixture;
using testing::TempDir;

constexpr const char* kRun = "run-0001";

class CrashTest : public ::testing::Test {
 protected:
  CrashTest() : ledger_(OnDisk()) { ledger_.CreateRun(); }
  static LedgerFixture::Options OnDisk() {
    LedgerFixture::Options options;
    options.in_memory = false;
    return options;
  }
  LedgerStore& store() { return ledger_.store(); }

  // The files as they are now; the shared memory file dies with the process.
  std::string Image() {
    const std::string to = images_.File(absl::StrCat("image-", ++image_count_));
    fs::copy(ledger_.directory(), to, fs::copy_options::recursive);
    fs::remove(LedgerPath(to) + "-shm");
    return to;
  }

  std::string StateIn(const std::string& image) {
    const auto database = OpenLedger(image).value();
    return database->QueryText("SELECT state FROM rounds WHERE round = 1").value_or("none");
  }

  void ExpectImage(const std::string& state) {
    const std::string image = Image();
    EXPECT_EQ(StateIn(image), state);
    ASSERT_OK_AND_ASSIGN(const auto verified, VerifyDirectory(image, VerifyOptions()));
    EXPECT_TRUE(verified.ok()) << state << ": " << verified.first_fault().what();
  }

  TempDir images_;
  int image_count_ = 0;
  LedgerFixture ledger_;
};

TEST_F(CrashTest, EveryStepIsOnTheDiskWhenItReturns) {
  ExpectImage("none");
  ASSERT_OK(store().OpenRound(kRun, 1));
  ExpectImage("selecting");
  ASSERT_OK(store().CommitInvitations(kRun, 1, 1, {{"c00", "client-c00", LedgerFixture::TaskId(kRun, 1, "c00")}}, 1));
  ExpectImage("training");
  const auto acceptance = ledger_.MakeAcceptance(kRun, 1, "c00", "update", 7);
  ASSERT_THAT(store().AcceptUpdate(acceptance), IsOk());
  {
    const auto database = OpenLedger(Image()).value();
    EXPECT_THAT(database->QueryInt("SELECT accepted FROM rounds"), IsOkAndHolds(1));
    EXPECT_THAT(database->QueryText("SELECT receipt FROM updates"),
                IsOkAndHolds(store().FindReceipt(acceptance.record.task_id()).value()->SerializeAsString()));
  }
  ASSERT_OK(store().BeginAggregating(kRun, 1, "late", "", 1));
  ExpectImage("aggregating");
  rounds::RoundResult result;
  result.new_model_sha256 = ledger_.blobs().Put("new model").value();
  result.examples = 7;
  result.means = {.train_loss = 0.25, .validation_loss = 0.5, .validation_accuracy = 0.75};  // what the client reports
  ASSERT_OK(store().BeginEvaluating(kRun, 1, result));
  ExpectImage("evaluating");
  ASSERT_OK(store().CommitRound(kRun, 1, rounds::RoundEvaluation(), rounds::RoundTimes(), 2));
  ExpectImage("committed");
}

TEST_F(CrashTest, ATransactionThatDidNotCommitLeavesNothing) {
  const uint64_t round = ledger_.BeginRound(kRun, 2);
  std::string image;
  {
    ASSERT_OK_AND_ASSIGN(const auto transaction, Transaction::Begin(ledger_.database()));
    ASSERT_OK(ledger_.database().Run("UPDATE rounds SET state = 'aggregating'"));
    ASSERT_OK(ledger_.database().Run("UPDATE contributions SET state = 'late'"));
    image = Image();
  }
  EXPECT_EQ(StateIn(image), "training");
  EXPECT_EQ(store().GetRound(kRun, round)->round.state(), "training");
}

TEST_F(CrashTest, ALogCutAtAnyPlaceOpensAtSomeCommittedState) {
  ledger_.CommitRound(kRun, 2);
  ledger_.BeginRound(kRun, 2);
  const std::string whole = Image();
  const auto size = fs::file_size(LedgerPath(whole) + "-wal");
  for (int part = 0; part <= 10; ++part) {
    const std::string image = images_.File(absl::StrCat("cut-", part));
    fs::copy(whole, image, fs::copy_options::recursive);
    fs::resize_file(LedgerPath(image) + "-wal", size * part / 10);
    const auto database = OpenLedger(image);
    ASSERT_THAT(database, IsOk()) << part;
    // An older state than the last one (a disk that lied about its sync), yet whole: never half a transaction.
    EXPECT_THAT(
        (*database)->QueryInt("SELECT count(*) FROM rounds WHERE invited <> (SELECT count(*) FROM contributions WHERE "
                              "contributions.run_id = rounds.run_id AND contributions.round = rounds.round)"),
        IsOkAndHolds(0))
        << part;
    EXPECT_THAT((*database)->QueryInt("SELECT count(*) FROM rounds WHERE state = 'committed' AND round NOT IN "
                                      "(SELECT round FROM records)"),
                IsOkAndHolds(0))
        << part;
  }
}

}  // namespace
}  // namespace tributary::ledger
