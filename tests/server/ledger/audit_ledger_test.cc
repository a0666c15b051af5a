// The audit as a chain in the database: what is appended, what is refused, what verify finds, and how old rows got in.
#include "server/ledger/audit_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/history/audit_chain.h"
#include "common/history/record_body.h"
#include "server/ledger/history.h"
#include "server/ledger/identity_ledger.h"
#include "server/ledger/verify.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::ledger {
namespace {

using storage::Database;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::LedgerFixture;
using testing::StatusIs;
using testing::TempDir;

constexpr const char* kRun = "run-0001";

v1::AuditEntry Entry(const std::string& actor, const std::string& action, const std::string& outcome = "ok") {
  v1::AuditEntry entry;
  entry.set_time_unix_ms(1'700'000'000'000);
  entry.set_actor(actor);
  entry.set_action(action);
  entry.set_subject("s");
  entry.set_outcome(outcome);
  return entry;
}

class AuditLedgerTest : public ::testing::Test {
 protected:
  AuditLedgerTest() {
    ledger_.CreateRun();
    ledger_.CommitRound(kRun, 2);
    for (int i = 0; i < 5; ++i) EXPECT_OK(ledger_.store().AddAudit(Entry("operator/local", absl::StrCat("a", i))));
  }

  v1::HistoryVerification Verify(const std::string& head = "") {
    VerifyOptions options;
    options.head = head;
    options.blobs = false;
    auto out = VerifyHistory(ledger_.database(), ledger_.blobs(), options);
    EXPECT_THAT(out, IsOk());
    return out.value_or(v1::HistoryVerification());
  }
  void Sql(const std::string& sql) { EXPECT_OK(ledger_.database().RunScript(sql)); }
  std::string Head() { return ledger_.store().ListAudit(1)->at(0).entry_sha256(); }

  LedgerFixture ledger_;
};

TEST_F(AuditLedgerTest, EachRowCarriesTheDigestOfTheOneBefore) {
  history::AuditChainCheck check;
  uint64_t rows = 0;
  ASSERT_OK(ForEachAudit(ledger_.database(), 0, [&](const v1::AuditEntry& entry) {
    EXPECT_EQ(check.CheckNext(entry), "");
    ++rows;
    return absl::OkStatus();
  }));
  EXPECT_EQ(rows, 6u);  // run.start and five
  const v1::HistoryVerification out = Verify();
  EXPECT_TRUE(out.ok()) << out.first_fault().what();
  EXPECT_EQ(out.audit_rows_checked(), rows);
  EXPECT_EQ(out.audit_head_sha256(), Head());
}

TEST_F(AuditLedgerTest, AThousandRowsAndMoreAreReadInPages) {
  for (int i = 0; i < 2500; ++i) EXPECT_OK(ledger_.store().AddAudit(Entry("operator/local", "more")));
  EXPECT_EQ(Verify().audit_rows_checked(), 2506u);
}

TEST_F(AuditLedgerTest, TheFirstChangedRowIsNamed) {
  ledger_.Unlock();
  Sql("UPDATE audit SET outcome = 'no' WHERE sequence IN (3, 5)");
  const v1::HistoryVerification out = Verify();
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.first_fault().audit_sequence(), 3u);
  EXPECT_EQ(out.first_fault().run(), "");
  EXPECT_THAT(out.first_fault().what(), HasSubstr("row 3 of the audit"));
}

TEST_F(AuditLedgerTest, ARowInTheMiddleThatIsGoneIsFound) {
  ledger_.Unlock();
  Sql("DELETE FROM audit WHERE sequence = 4");
  EXPECT_EQ(Verify().first_fault().audit_sequence(), 4u);
}

TEST_F(AuditLedgerTest, ARowThatWasPutInIsFound) {
  ledger_.Unlock();
  Sql("UPDATE audit SET sequence = sequence + 100 WHERE sequence > 3; UPDATE audit SET sequence = sequence - 99 WHERE "
      "sequence > 100; INSERT INTO audit (sequence, time_unix_ms, actor, action, subject, outcome, previous_sha256, "
      "entry_sha256) SELECT 4, 1, 'operator/eve', 'a', 's', 'ok', entry_sha256, 'x' FROM audit WHERE sequence = 3");
  EXPECT_EQ(Verify().first_fault().audit_sequence(), 4u);
}

TEST_F(AuditLedgerTest, RowsCutOffAtTheEndShowInSqlitesOwnCount) {
  ledger_.Unlock();
  Sql("DELETE FROM audit WHERE sequence > 4");
  const v1::HistoryVerification out = Verify();
  EXPECT_EQ(out.first_fault().audit_sequence(), 5u);
  EXPECT_THAT(out.first_fault().what(), HasSubstr("with all up to row 6"));
  // And in the hole that the next row leaves.
  ASSERT_OK(ledger_.store().AddAudit(Entry("operator/local", "later")));
  EXPECT_EQ(Verify().first_fault().audit_sequence(), 5u);
}

TEST_F(AuditLedgerTest, WithThatMendedOnlyARememberedHeadTells) {
  const std::string head = Head();
  EXPECT_TRUE(Verify(head).ok());
  ledger_.Unlock();
  Sql("DELETE FROM audit WHERE sequence > 4; UPDATE sqlite_sequence SET seq = 4 WHERE name = 'audit'");
  EXPECT_TRUE(Verify().ok()) << "nothing here can tell: the documentation says so";
  EXPECT_FALSE(Verify(head).ok());
}

TEST_F(AuditLedgerTest, ARoundThatWasClosedSealsTheRowsBeforeIt) {
  ledger_.CommitRound(kRun, 2);  // after the five rows
  const std::string sealed =
      *ledger_.database().QueryText("SELECT audit_sha256 FROM rounds WHERE run_id = ?1 AND round = 2", {kRun});
  EXPECT_EQ(sealed, Head());
  ledger_.Unlock();
  Sql("DELETE FROM audit WHERE sequence > 4; UPDATE sqlite_sequence SET seq = 4 WHERE name = 'audit'");
  const v1::HistoryVerification out = Verify();
  EXPECT_EQ(out.first_fault().run(), kRun);
  EXPECT_EQ(out.first_fault().round(), 2u);
  EXPECT_THAT(out.first_fault().what(), HasSubstr("the row of the audit that it names is gone"));
}

TEST_F(AuditLedgerTest, ARewrittenChainIsFoundByTheRoundsThatSealedIt) {
  ledger_.CommitRound(kRun, 2);
  ledger_.Unlock();
  // A whole new chain with good digests: what somebody with the file, and without the receipt key, can do.
  Sql("UPDATE audit SET actor = 'operator/eve' WHERE sequence = 3; DROP INDEX audit_by_digest; "
      "DROP INDEX audit_run_ends");
  ASSERT_OK(ChainAudit(ledger_.database()));
  const v1::HistoryVerification out = Verify();
  EXPECT_EQ(out.first_fault().audit_sequence(), 0u) << "the chain itself holds";
  EXPECT_EQ(out.first_fault().run(), kRun);
  EXPECT_THAT(out.first_fault().what(), HasSubstr("the row of the audit that it names is gone"));
}

TEST_F(AuditLedgerTest, ARoundOfBeforeTheChainStillHolds) {
  ledger_.Unlock();
  // As schema 3 recorded it: a body of version 1.
  Sql("UPDATE rounds SET audit_sha256 = ''");
  ledger_.RewriteRecord(kRun, 1);
  EXPECT_TRUE(ReadRecord(ledger_.database(), kRun, 1)->body.starts_with(BodyPrefix(history::BodyVersion::kV1)));
  ledger_.CommitRound(kRun, 2);
  EXPECT_TRUE(Verify().ok()) << Verify().first_fault().what();
  // It cannot be given a row of the audit afterwards.
  Sql("UPDATE rounds SET audit_sha256 = (SELECT entry_sha256 FROM audit WHERE sequence = 1) WHERE round = 1");
  EXPECT_EQ(Verify().first_fault().round(), 1u);
}

TEST_F(AuditLedgerTest, RowsAreOnlyAddedBehindTheNewest) {
  EXPECT_THAT(ledger_.database().Run("UPDATE audit SET actor = 'x'"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(ledger_.database().Run("DELETE FROM audit"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(ledger_.database().Run("INSERT INTO audit (time_unix_ms, actor, action, subject, outcome, "
                                     "previous_sha256, entry_sha256) VALUES (1, 'a', 'b', 'c', 'ok', '', 'y')"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("follows the newest one")));
}

TEST_F(AuditLedgerTest, HowARunEndedIsSealedToo) {
  ASSERT_OK(ledger_.store().SetRunState(kRun, "stopped", "stopped by operator/local", ledger_.now() + 9));
  const v1::AuditEntry end = ledger_.store().ListAudit(1)->at(0);
  EXPECT_EQ(end.action(), "run.end");
  EXPECT_EQ(end.subject(), kRun);
  EXPECT_EQ(end.outcome(), "stopped: stopped by operator/local");
  EXPECT_TRUE(Verify().ok()) << Verify().first_fault().what();
  Sql("CREATE TEMP TABLE kept AS SELECT state, reason, ended_unix_ms FROM runs");
  for (const char* change : {"state = 'completed'", "state = 'running'", "reason = ''", "ended_unix_ms = 1"}) {
    Sql(absl::StrCat("UPDATE runs SET ", change));
    EXPECT_THAT(Verify().first_fault().what(), HasSubstr("audit")) << change;
    Sql("UPDATE runs SET (state, reason, ended_unix_ms) = (SELECT * FROM kept)");
  }
}

TEST(AuditUpgradeTest, RowsThatWereThereAreChainedInTheirOrder) {
  TempDir dir;
  {
    ASSERT_OK_AND_ASSIGN(const auto old, Database::Open(LedgerPath(dir.path())));
    ASSERT_OK(storage::Migrate(*old, LedgerMigrations().first(3)));
    for (int i = 1; i <= 1500; ++i) {
      ASSERT_OK(
          old->Run("INSERT INTO audit (time_unix_ms, actor, action, subject, outcome) VALUES (?1, 'operator/local', "
                   "'client.invite', ?2, 'ok')",
                   {i, absl::StrCat("site-", i)}));
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto upgraded, OpenLedger(dir.path()));
  history::AuditChainCheck check;
  ASSERT_OK(ForEachAudit(*upgraded, 0, [&](const v1::AuditEntry& entry) {
    EXPECT_EQ(check.CheckNext(entry), "") << entry.sequence();
    EXPECT_EQ(entry.subject(), absl::StrCat("site-", entry.sequence()));
    return absl::OkStatus();
  }));
  EXPECT_EQ(check.sequence(), 1500u);
  EXPECT_THAT(upgraded->Run("UPDATE audit SET actor = 'x'"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

// ---- an action and its row happen together

TEST(AuditTogetherTest, AnActionWhoseRowCannotBeWrittenHasNotHappened) {
  LedgerFixture ledger;
  const auto identities = MakeIdentityLedger(ledger.database());
  const absl::Status done = identities->Together([&]() -> absl::Status {
    TRB_RETURN_IF_ERROR(identities->Revoke(identity::Role::kClient, "c01", ledger.now()).status());
    return absl::ResourceExhaustedError("the disk is full");
  });
  EXPECT_THAT(done, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(identities->GetSubjectById(identity::Role::kClient, "c01")->state, identity::SubjectState::kActive);
}

TEST(AuditTogetherTest, ARowOfAnActionThatFailedIsNotThere) {
  LedgerFixture ledger;
  const auto identities = MakeIdentityLedger(ledger.database());
  const absl::Status done = identities->Together([&]() -> absl::Status {
    TRB_RETURN_IF_ERROR(ledger.store().AddAudit(Entry("operator/local", "client.revoke")));
    return identities->Revoke(identity::Role::kClient, "nobody", ledger.now()).status();
  });
  EXPECT_FALSE(done.ok());
  EXPECT_TRUE(ledger.store().ListAudit(1)->empty());
}

TEST(AuditTogetherTest, BothAreThereAfterwards) {
  LedgerFixture ledger;
  const auto identities = MakeIdentityLedger(ledger.database());
  ASSERT_OK(identities->Together([&]() -> absl::Status {
    TRB_RETURN_IF_ERROR(identities->Revoke(identity::Role::kClient, "c01", ledger.now()).status());
    return ledger.store().AddAudit(Entry("operator/local", "client.revoke"));
  }));
  EXPECT_EQ(identities->GetSubjectById(identity::Role::kClient, "c01")->state, identity::SubjectState::kRevoked);
  EXPECT_EQ(ledger.store().ListAudit(1)->at(0).action(), "client.revoke");
}

TEST(AuditRateTest, AClientsRefusalsDoNotCrowdOutWhatItWasGranted) {
  LedgerFixture ledger;
  for (int i = 0; i < 300; ++i) ASSERT_OK(ledger.store().AddAudit(Entry("client/a", "call", "refused: no")));
  ASSERT_OK(ledger.store().AddAudit(Entry("client/a", "renew")));
  EXPECT_EQ(ledger.store().ListAudit(1)->at(0).action(), "renew");
  EXPECT_LT(ledger.store().ListAudit(1)->at(0).sequence(), 120u);
  for (int i = 0; i < 300; ++i) ASSERT_OK(ledger.store().AddAudit(Entry("operator/gone", "call", "refused: no")));
  EXPECT_LT(ledger.store().ListAudit(1)->at(0).sequence(), 240u) << "a revoked operator cannot fill the disk either";
}

}  // namespace
}  // namespace tributary::ledger
