// The one way in for an update, and how long its bytes stay.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/crypto/certificate.h"
#include "common/update/signed_record.h"
#include "server/ledger/ledger_store.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::ledger {
namespace {

using rounds::ContributionChange;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::LedgerFixture;
using testing::StatusIs;
using Kind = rounds::AcceptResult::Kind;

class AcceptTest : public ::testing::Test {
 protected:
  AcceptTest() : run_(ledger_.CreateRun()), round_(ledger_.BeginRound(run_, 3, /*target=*/2)) {}

  LedgerStore& store() { return ledger_.store(); }
  rounds::Acceptance Update(const std::string& client, const std::string& bytes, uint64_t examples = 100) {
    return ledger_.MakeAcceptance(run_, round_, client, bytes, examples);
  }
  absl::Status Abandon(const std::string& run, uint64_t round) {
    return store()
        .AbandonRound(run, round, {.reason = "too_few", .open_rows_become = "dropped"}, ledger_.now())
        .status();
  }
  Kind Offer(const rounds::Acceptance& acceptance) { return store().AcceptUpdate(acceptance).value().kind; }
  absl::Status Change(const std::string& client, const ContributionChange& change) {
    return store().ChangeContribution(run_, round_, client, change, ledger_.now());
  }
  v1::Contribution RowOf(const std::string& client) {
    const auto rows = store().ListContributions(run_, round_).value();
    for (const auto& row : rows) {
      if (row.client_id() == client) return row;
    }
    return {};
  }
  int64_t Count(const std::string& table) {
    return ledger_.database().QueryInt(absl::StrCat("SELECT count(*) FROM ", table)).value();
  }

  LedgerFixture ledger_;
  const std::string run_;
  const uint64_t round_;
};

TEST_F(AcceptTest, AnAcceptedUpdateGetsASignedReceiptThatIsKept) {
  const auto acceptance = Update("c00", "bytes");
  ASSERT_OK_AND_ASSIGN(const auto result, store().AcceptUpdate(acceptance));
  EXPECT_EQ(result.kind, Kind::kAccepted);
  EXPECT_EQ(result.accepted, 1u);
  EXPECT_EQ(result.receipt.accepted_unix_ms(), ledger_.now());
  EXPECT_EQ(result.receipt.previous_record_sha256(), store().GetRun(run_)->run.genesis_sha256());
  ASSERT_OK_AND_ASSIGN(const auto certificate,
                       crypto::Certificate::FromPem(store().GetRun(run_)->receipt_certificate_pem));
  EXPECT_TRUE(certificate.public_key().Verify(update::CanonicalBytes(result.receipt), result.receipt.signature()));
  ASSERT_OK_AND_ASSIGN(const auto stored, store().FindReceipt(acceptance.record.task_id()));
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->SerializeAsString(), result.receipt.SerializeAsString());
}

TEST_F(AcceptTest, TheSameUpdateAgainGetsTheSameReceipt) {
  const auto acceptance = Update("c00", "bytes");
  const std::string first = store().AcceptUpdate(acceptance)->receipt.SerializeAsString();
  ASSERT_OK_AND_ASSIGN(const auto again, store().AcceptUpdate(acceptance));
  EXPECT_EQ(again.kind, Kind::kDuplicate);
  EXPECT_EQ(again.receipt.SerializeAsString(), first);
  EXPECT_EQ(again.accepted, 1u);
  EXPECT_EQ(Count("updates"), 1);
}

TEST_F(AcceptTest, ARevokedClientStillGetsTheReceiptItHas) {
  const auto acceptance = Update("c00", "bytes");
  Offer(acceptance);
  ledger_.Revoke("c00");
  EXPECT_EQ(Offer(acceptance), Kind::kDuplicate);
}

TEST_F(AcceptTest, AnotherUpdateOfTheSameClientIsAConflictAndItsBytesGo) {
  Offer(Update("c00", "bytes"));
  const auto other = Update("c00", "other bytes");
  EXPECT_EQ(Offer(other), Kind::kConflict);
  EXPECT_FALSE(ledger_.blobs().Contains(other.record.update_sha256()));
  EXPECT_EQ(RowOf("c00").update_sha256(), Update("c00", "bytes").record.update_sha256());
}

TEST_F(AcceptTest, PastTheTargetNothingIsNeeded) {
  EXPECT_EQ(Offer(Update("c00", "a")), Kind::kAccepted);
  EXPECT_EQ(Offer(Update("c01", "b")), Kind::kAccepted);
  ASSERT_OK_AND_ASSIGN(const auto third, store().AcceptUpdate(Update("c02", "c")));
  EXPECT_EQ(third.kind, Kind::kNotNeeded);
  EXPECT_EQ(third.accepted, 2u);
  EXPECT_EQ(store().GetRound(run_, round_)->round.examples(), 200u);
}

TEST_F(AcceptTest, ARevokedClientIsNotAllowed) {
  ledger_.Revoke("c00");
  EXPECT_EQ(Offer(Update("c00", "a")), Kind::kNotAllowed);
  EXPECT_EQ(Count("updates"), 0);
}

TEST_F(AcceptTest, OnlyARoundInTrainingTakesUpdates) {
  const auto late = Update("c00", "a");
  ASSERT_OK(store().BeginAggregating(run_, round_, "late", "deadline: passed", 5));
  EXPECT_EQ(Offer(late), Kind::kNotNeeded);
  EXPECT_EQ(RowOf("c00").state(), "late");
  ASSERT_OK(Abandon(run_, round_));
  EXPECT_EQ(Offer(Update("c01", "b")), Kind::kNotNeeded);
}

TEST_F(AcceptTest, AClientThatIsNotOpenIsNotNeeded) {
  for (const std::string state : {"declined", "late", "dropped", "rejected", "not_needed"}) {
    const std::string run = ledger_.CreateRun(LedgerFixture::Plan(), absl::StrCat("run-", state));
    const uint64_t round = ledger_.BeginRound(run, 1);
    ContributionChange change;
    change.state = state;
    ASSERT_OK(store().ChangeContribution(run, round, "c00", change, ledger_.now()));
    EXPECT_EQ(Offer(ledger_.MakeAcceptance(run, round, "c00", "x")), Kind::kNotNeeded) << state;
  }
}

TEST_F(AcceptTest, AnUnknownTaskAndAForeignRecordAreErrors) {
  auto stranger = Update("c00", "a");
  stranger.record.set_task_id("nobody's");
  EXPECT_THAT(store().AcceptUpdate(stranger), StatusIs(absl::StatusCode::kNotFound));
  auto foreign = Update("c00", "a");
  foreign.record.set_client_id("c01");
  EXPECT_THAT(store().AcceptUpdate(foreign), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(AcceptTest, BytesThatAreGoneMustBeSentAgain) {
  const auto acceptance = Update("c00", "a");
  ASSERT_OK(ledger_.blobs().Remove(acceptance.record.update_sha256()));
  EXPECT_THAT(store().AcceptUpdate(acceptance), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(RowOf("c00").state(), "invited");
}

TEST_F(AcceptTest, ACertificateThatIsNotValidNowMustBeReplacedFirst) {
  const auto acceptance = Update("c00", "a");
  for (const char* column : {"not_before_unix_ms = 1700000000001", "not_after_unix_ms = 1699999999999"}) {
    ASSERT_OK(ledger_.database().Run(absl::StrCat("UPDATE certificates SET ", column)));
    EXPECT_THAT(store().AcceptUpdate(acceptance), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("certificate")));
    EXPECT_EQ(RowOf("c00").state(), "invited");
    ASSERT_OK(ledger_.database().Run("UPDATE certificates SET not_before_unix_ms = 0, not_after_unix_ms = 1 << 50"));
  }
  EXPECT_EQ(Offer(acceptance), Kind::kAccepted);
}

TEST_F(AcceptTest, ACertificateOfSomebodyElseIsAnError) {
  auto acceptance = Update("c00", "a");
  acceptance.record.set_certificate_sha256(Update("c01", "b").record.certificate_sha256());
  EXPECT_THAT(store().AcceptUpdate(acceptance), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(AcceptTest, ManyAtOnceNeverPassTheTarget) {
  const std::string run = ledger_.CreateRun(LedgerFixture::Plan(), "run-many");
  const uint64_t round = ledger_.BeginRound(run, 12, /*target=*/5);
  std::vector<rounds::Acceptance> updates;
  for (int i = 0; i < 12; ++i) {
    updates.push_back(ledger_.MakeAcceptance(run, round, LedgerFixture::ClientId(i), absl::StrCat("u", i)));
  }
  std::atomic<int> accepted{0};
  std::vector<std::thread> threads;
  for (const auto& update : updates) {
    threads.emplace_back([&] { accepted += Offer(update) == Kind::kAccepted; });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(accepted, 5);
  EXPECT_EQ(store().GetRound(run, round)->round.accepted(), 5u);
}

// ---- decisions that were made before an update came

TEST_F(AcceptTest, ARoundIsNotAbandonedOverAnUpdateThatTheDecisionDidNotSee) {
  Offer(Update("c00", "a"));
  rounds::Abandonment decided{.reason = "too_few_updates", .open_rows_become = "late", .accepted = 0};
  EXPECT_THAT(store().AbandonRound(run_, round_, decided, ledger_.now()), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(store().GetRound(run_, round_)->round.state(), "training");
  EXPECT_EQ(RowOf("c01").state(), "invited");
  decided.accepted = 1;
  EXPECT_OK(store().AbandonRound(run_, round_, decided, ledger_.now()));
  EXPECT_EQ(store().GetRound(run_, round_)->round.state(), "abandoned");
}

// ---- revoked clients

TEST_F(AcceptTest, TheOpenRowsOfRevokedClientsAreDropped) {
  Offer(Update("c00", "a"));
  for (const char* id : {"c00", "c01"}) ledger_.Revoke(id);
  EXPECT_THAT(store().DropRevoked(run_, round_), testing::IsOkAndHolds(1u));
  EXPECT_EQ(RowOf("c00").state(), "accepted") << "what has a receipt stays";
  EXPECT_EQ(RowOf("c01").state(), "dropped");
  EXPECT_THAT(RowOf("c01").reason(), HasSubstr("revoked"));
  EXPECT_EQ(RowOf("c02").state(), "invited");
  EXPECT_THAT(store().DropRevoked(run_, round_), testing::IsOkAndHolds(0u));
}

TEST_F(AcceptTest, NoRowOfAClosedRoundIsDropped) {
  ASSERT_OK(Abandon(run_, round_));
  ledger_.Revoke("c00");
  EXPECT_THAT(store().DropRevoked(run_, round_), testing::IsOkAndHolds(0u));
}

// ---- other changes of a row

TEST_F(AcceptTest, AnOpenRowMovesAndCountsBytes) {
  ContributionChange change;
  change.state = "accepted_task";
  change.add_bytes_down = 1000;
  ASSERT_OK(Change("c00", change));
  change = {};
  change.state = "declined";
  change.reason = "policy: too many epochs";
  ASSERT_OK(Change("c00", change));
  EXPECT_EQ(RowOf("c00").state(), "declined");
  EXPECT_EQ(RowOf("c00").reason(), "policy: too many epochs");
  EXPECT_EQ(RowOf("c00").bytes_down(), 1000u);
  EXPECT_EQ(store().GetRound(run_, round_)->round.bytes_down(), 1000u);
}

TEST_F(AcceptTest, AFinalRowStaysAndTheFactBecomesAnEvent) {
  Offer(Update("c00", "a"));
  ContributionChange change;
  change.state = "dropped";
  ASSERT_OK(Change("c00", change));
  EXPECT_EQ(RowOf("c00").state(), "accepted");
  EXPECT_EQ(Count("events"), 1);
}

TEST_F(AcceptTest, AFrozenRowStaysAndTheFactBecomesAnEvent) {
  ASSERT_OK(Abandon(run_, round_));
  ContributionChange change;
  change.add_bytes_up = 77;
  ASSERT_OK(Change("c00", change));
  EXPECT_EQ(RowOf("c00").bytes_up(), 0u);
  EXPECT_THAT(ledger_.database().QueryText("SELECT detail FROM events").value(), HasSubstr("bytes_up=77"));
}

TEST_F(AcceptTest, NobodyIsAcceptedPastTheChecksAndNoStateIsInvented) {
  ContributionChange change;
  change.state = "accepted";
  EXPECT_THAT(Change("c00", change), StatusIs(absl::StatusCode::kInvalidArgument));
  change.state = "happy";
  EXPECT_THAT(Change("c00", change), StatusIs(absl::StatusCode::kFailedPrecondition));
  change.state = "declined";
  EXPECT_THAT(Change("c15", change), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().BeginAggregating(run_, round_, "accepted", "", 0), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(AcceptTest, TasksAreFoundWithTheirRound) {
  ASSERT_OK_AND_ASSIGN(const auto task, store().FindTask(LedgerFixture::TaskId(run_, round_, "c01")));
  EXPECT_EQ(task.run, run_);
  EXPECT_EQ(task.client_id, "c01");
  EXPECT_EQ(task.client_name, "client-c01");
  EXPECT_EQ(task.round_state, "training");
  EXPECT_EQ(task.contribution_state, "invited");
  EXPECT_EQ(task.base_model_sha256, store().GetRun(run_)->run.initial_model_sha256());
  EXPECT_THAT(store().FindTask("no"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(store().FindReceipt(LedgerFixture::TaskId(run_, round_, "c01"))->has_value());
}

TEST_F(AcceptTest, AClientsContributionsAreListedNewestFirst) {
  ASSERT_OK(Abandon(run_, round_));
  ledger_.BeginRound(run_, 1);
  ASSERT_OK_AND_ASSIGN(const auto rows, store().ListClientContributions("c00", 20));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].round(), 2u);
  EXPECT_EQ(store().ListClientContributions("c00", 1)->size(), 1u);
}

// ---- keep_updates

class RetentionTest : public ::testing::Test {
 protected:
  std::string Run(const std::string& keep, const std::string& id) {
    v1::RunPlan plan = LedgerFixture::Plan();
    plan.set_keep_updates(keep);
    return ledger_.CreateRun(plan, id);
  }
  // How many of the round's updates are still there.
  int Kept(const std::string& run, uint64_t round) {
    int kept = 0;
    const auto rows = ledger_.store().ListContributions(run, round).value();
    for (const auto& row : rows) kept += ledger_.blobs().Contains(row.update_sha256());
    return kept;
  }
  absl::Status Abandon(const std::string& run, uint64_t round) {
    return ledger_.store()
        .AbandonRound(run, round, {.reason = "x", .open_rows_become = "dropped"}, ledger_.now())
        .status();
  }
  void End(const std::string& run) { ASSERT_OK(ledger_.store().SetRunState(run, "completed", "", ledger_.now())); }
  LedgerFixture ledger_;
};

TEST_F(RetentionTest, RoundMeansUntilItsRoundIsClosed) {
  const std::string run = Run("round", "run-round");
  EXPECT_EQ(Kept(run, ledger_.CommitRound(run, 3)), 0);
  EXPECT_TRUE(ledger_.blobs().Contains(ledger_.store().GetRun(run)->run.model_sha256()));
}

TEST_F(RetentionTest, RunMeansUntilTheRunEnds) {
  const std::string run = Run("run", "run-run");
  const uint64_t round = ledger_.CommitRound(run, 3);
  EXPECT_EQ(Kept(run, round), 3);
  End(run);
  EXPECT_EQ(Kept(run, round), 0);
}

TEST_F(RetentionTest, ForeverMeansForever) {
  const std::string run = Run("forever", "run-forever");
  const uint64_t round = ledger_.CommitRound(run, 3);
  End(run);
  EXPECT_EQ(Kept(run, round), 3);
}

TEST_F(RetentionTest, BytesThatAnotherRunNeedsStay) {
  const std::string keeper = Run("forever", "run-keeper"), other = Run("round", "run-other");
  const uint64_t kept = ledger_.BeginRound(keeper, 1), dropped = ledger_.BeginRound(other, 1);
  ASSERT_THAT(ledger_.store().AcceptUpdate(ledger_.MakeAcceptance(keeper, kept, "c00", "same")), IsOk());
  const auto same = ledger_.MakeAcceptance(other, dropped, "c00", "same");
  ASSERT_THAT(ledger_.store().AcceptUpdate(same), IsOk());
  ASSERT_OK(Abandon(other, dropped));
  EXPECT_TRUE(ledger_.blobs().Contains(same.record.update_sha256()));
}

TEST_F(RetentionTest, BytesSentAgainAfterTheirDeletionAreKept) {
  const std::string run = Run("round", "run-again");
  const uint64_t first = ledger_.BeginRound(run, 1);
  ASSERT_THAT(ledger_.store().AcceptUpdate(ledger_.MakeAcceptance(run, first, "c00", "zeros")), IsOk());
  ASSERT_OK(Abandon(run, first));
  const uint64_t second = ledger_.BeginRound(run, 1);
  const auto again = ledger_.MakeAcceptance(run, second, "c00", "zeros");
  ASSERT_THAT(ledger_.store().AcceptUpdate(again), IsOk());
  EXPECT_TRUE(ledger_.blobs().Contains(again.record.update_sha256()));
  EXPECT_EQ(ledger_.database().QueryInt("SELECT count(*) FROM deleted_blobs").value(), 0);
}

TEST(RetentionRestartTest, ADeletionThatACrashInterruptedIsFinished) {
  LedgerFixture::Options options;
  options.in_memory = false;
  LedgerFixture ledger(options);
  const std::string sha256 = ledger.blobs().Put("noted, not removed").value();
  ASSERT_OK(ledger.database().Run("INSERT INTO deleted_blobs (sha256, run_id, deleted_unix_ms) VALUES (?1, 'run', 1)",
                                  {sha256}));
  ledger.Reopen();
  EXPECT_FALSE(ledger.blobs().Contains(sha256));
}

}  // namespace
}  // namespace tributary::ledger
