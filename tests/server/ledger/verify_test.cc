#include "server/ledger/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/crypto/digest.h"
#include "server/ledger/history.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"

namespace tributary::ledger {
namespace {

using storage::Arg;
using storage::Args;
using storage::Bytes;
using storage::Row;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::LedgerFixture;
using testing::StatusIs;

constexpr const char* kRun = "run-0001";

class VerifyTest : public ::testing::Test {
 protected:
  // Three committed rounds and an abandoned one; keep_updates forever. Round 2 is the one that tests change.
  VerifyTest() {
    v1::RunPlan plan = LedgerFixture::Plan();
    plan.set_keep_updates("forever");
    ledger_.CreateRun(plan, kRun);
    for (int i = 0; i < 3; ++i) ledger_.CommitRound(kRun, 2, 0.5 + i * 0.125);
    const uint64_t round = ledger_.BeginRound(kRun, 1);
    TRB_CHECK(ledger_.store()
                  .AbandonRound(kRun, round, {.reason = "too_few", .open_rows_become = "dropped"}, ledger_.now())
                  .ok());
  }

  v1::HistoryVerification Verify(VerifyOptions options = VerifyOptions()) {
    auto out = VerifyHistory(ledger_.database(), ledger_.blobs(), options);
    EXPECT_THAT(out, IsOk());
    return out.value_or(v1::HistoryVerification());
  }

  // With nothing of SQLite's own in the way either.
  void Unlock() {
    ledger_.Unlock();
    ASSERT_OK(ledger_.database().RunScript("PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON"));
  }

  std::vector<std::string> ColumnsOf(const std::string& table) {
    std::vector<std::string> names;
    EXPECT_OK(
        ledger_.database().Query("SELECT name FROM pragma_table_info(?1) ORDER BY cid", {table}, [&](const Row& r) {
          names.push_back(r.Text(0));
          return absl::OkStatus();
        }));
    return names;
  }

  // Changes one column of the row with this key, verifies, and changes it back.
  v1::HistoryVerification VerifyChanged(const std::string& table, const std::string& column,
                                        std::map<std::string, std::string> key) {
    const Cell old = Read(table, column, key);
    const Cell changed = Other(old);
    Write(table, column, key, changed);
    v1::HistoryVerification out = Verify();
    if (key.contains(column))
      key[column] =
          changed.kind == Arg::Kind::kInteger ? absl::StrCat(changed.integer) : absl::StrCat("'", changed.text, "'");
    Write(table, column, key, old);
    return out;
  }

  struct Cell {
    Arg::Kind kind = Arg::Kind::kNull;
    int64_t integer = 0;
    double real = 0;
    std::string text;
    Arg AsArg() const {
      switch (kind) {
        case Arg::Kind::kInteger:
          return Arg(integer);
        case Arg::Kind::kReal:
          return Arg(real);
        case Arg::Kind::kText:
          return Arg(text);
        case Arg::Kind::kBlob:
          return Arg(Bytes{text});
        default:
          return Arg(nullptr);
      }
    }
  };

  static std::string Where(const std::map<std::string, std::string>& key) {
    std::string where = " WHERE 1";
    for (const auto& [name, value] : key) absl::StrAppend(&where, " AND ", name, " = ", value);
    return where;
  }

  Cell Read(const std::string& table, const std::string& column, const std::map<std::string, std::string>& key) {
    Cell cell;
    auto found = ledger_.database().QueryOne(absl::StrCat("SELECT ", column, " FROM ", table, Where(key)), {},
                                             [&](const Row& r) {
                                               cell.kind = r.Kind(0);
                                               cell.integer = r.Int(0);
                                               cell.real = r.Real(0);
                                               cell.text = r.Text(0);
                                             });
    EXPECT_TRUE(found.value_or(false)) << table << "." << column;
    return cell;
  }

  // The smallest change that the column's type allows.
  static Cell Other(Cell cell) {
    switch (cell.kind) {
      case Arg::Kind::kInteger:
        cell.integer += 1000;
        break;
      case Arg::Kind::kReal:
        cell.real = std::nextafter(cell.real, 1e9);
        break;
      case Arg::Kind::kNull:
        cell.kind = Arg::Kind::kReal;
        cell.real = 0.5;
        break;
      default:
        if (cell.text.empty()) {
          cell.text.push_back('x');
        } else {
          cell.text[cell.text.size() / 2] ^= 1;
        }
    }
    return cell;
  }

  void Write(const std::string& table, const std::string& column, const std::map<std::string, std::string>& key,
             const Cell& cell) {
    const auto changed = ledger_.database().Change(absl::StrCat("UPDATE ", table, " SET ", column, " = ?1", Where(key)),
                                                   Args(std::vector<Arg>{cell.AsArg()}));
    EXPECT_THAT(changed, testing::IsOkAndHolds(1)) << table << "." << column;
  }

  // Every column of a row of round 2, one after the other.
  void ExpectEveryColumnCounts(const std::string& table, const std::map<std::string, std::string>& key) {
    Unlock();
    for (const std::string& column : ColumnsOf(table)) {
      const v1::HistoryVerification out = VerifyChanged(table, column, key);
      EXPECT_FALSE(out.ok()) << table << "." << column << " was changed unnoticed";
      EXPECT_EQ(out.first_fault().round(), 2u) << table << "." << column << ": " << out.first_fault().what();
      EXPECT_EQ(out.first_fault().run(), kRun) << table << "." << column;
    }
    EXPECT_TRUE(Verify().ok()) << "everything was changed back";
  }

  void FlipByte(const std::string& path, size_t at) {
    std::string bytes = ReadFile(path).value();
    bytes[at] ^= 1;
    ASSERT_OK(WriteFileDurably(path, bytes, 0600));
  }

  LedgerFixture ledger_;
};

TEST_F(VerifyTest, AHistoryAsItWasWrittenPasses) {
  const v1::HistoryVerification out = Verify();
  EXPECT_TRUE(out.ok()) << out.first_fault().what();
  EXPECT_FALSE(out.has_first_fault());
  EXPECT_EQ(out.rounds_checked(), 4u);
  EXPECT_EQ(out.blobs_checked(), 4u + 6u);
  EXPECT_EQ(out.blobs_missing(), 0u);
  EXPECT_EQ(out.head_sha256(), ledger_.store().GetRun(kRun)->run.head_sha256());
}

TEST_F(VerifyTest, WithoutBlobsNoneIsRead) {
  VerifyOptions options;
  options.blobs = false;
  EXPECT_EQ(Verify(options).blobs_checked(), 0u);
}

TEST_F(VerifyTest, AnOpenRoundIsNotLookedAt) {
  ledger_.BeginRound(kRun, 2);
  EXPECT_TRUE(Verify().ok());
  EXPECT_EQ(Verify().rounds_checked(), 4u);
}

TEST_F(VerifyTest, EveryColumnOfARoundCounts) {
  ExpectEveryColumnCounts("rounds", {{"run_id", "'run-0001'"}, {"round", "2"}});
}

TEST_F(VerifyTest, EveryColumnOfAContributionCounts) {
  const std::string task = absl::StrCat("'", LedgerFixture::TaskId(kRun, 2, "c01"), "'");
  ExpectEveryColumnCounts("contributions", {{"task_id", task}});
}

TEST_F(VerifyTest, EveryColumnOfAnUpdateCounts) {
  const std::string task = absl::StrCat("'", LedgerFixture::TaskId(kRun, 2, "c01"), "'");
  ExpectEveryColumnCounts("updates", {{"task_id", task}});
}

TEST_F(VerifyTest, EveryColumnOfARecordCounts) {
  ExpectEveryColumnCounts("records", {{"run_id", "'run-0001'"}, {"round", "2"}});
}

TEST_F(VerifyTest, EveryColumnOfARunCountsButThoseThatSayHowItGoes) {
  Unlock();
  const std::set<std::string> free = {"sequence", "state", "reason", "stalled_ms", "ended_unix_ms"};
  for (const std::string& column : ColumnsOf("runs")) {
    if (free.contains(column)) continue;
    const auto out = VerifyChanged("runs", column, {{"sequence", "1"}});
    EXPECT_FALSE(out.ok()) << column << " was changed unnoticed";
  }
  EXPECT_TRUE(Verify().ok());
}

TEST_F(VerifyTest, ChangedRowsAreNamedInPlainWords) {
  Unlock();
  const auto out = VerifyChanged("contributions", "weight",
                                 {{"task_id", absl::StrCat("'", LedgerFixture::TaskId(kRun, 2, "c01"), "'")}});
  EXPECT_THAT(out.first_fault().what(), HasSubstr("weight in contributions of client c01"));
}

TEST_F(VerifyTest, TheColumnsOfTheBodyAreAllThatThereAre) {
  const auto names = [](std::span<const std::string_view> columns) {
    return std::set<std::string>(columns.begin(), columns.end());
  };
  const auto all = [&](const std::string& table) {
    const auto columns = ColumnsOf(table);
    return std::set<std::string>(columns.begin(), columns.end());
  };
  EXPECT_EQ(names(history::RoundColumns(history::BodyVersion::kV2)), all("rounds"));
  EXPECT_EQ(names(history::ContributionColumns()), all("contributions"));
  EXPECT_EQ(names(history::UpdateColumns()), all("updates"));
}

TEST_F(VerifyTest, OneByteOfAModelIsFound) {
  const std::string model = ledger_.store().GetRound(kRun, 2)->round.model_sha256();
  FlipByte(ledger_.blobs().PathOf(model), 3);
  const auto out = Verify();
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.first_fault().round(), 2u);
  EXPECT_THAT(out.first_fault().what(), HasSubstr("model"));
  EXPECT_THAT(out.first_fault().what(), HasSubstr(model));
}

TEST_F(VerifyTest, OneByteOfTheInitialModelIsAFaultOfGenesis) {
  FlipByte(ledger_.blobs().PathOf(ledger_.store().GetRun(kRun)->run.initial_model_sha256()), 0);
  const auto out = Verify();
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.first_fault().round(), 0u);
}

TEST_F(VerifyTest, OneByteOfAnUpdateIsFound) {
  const auto contributions = ledger_.store().ListContributions(kRun, 2).value();
  FlipByte(ledger_.blobs().PathOf(contributions[1].update_sha256()), 0);
  const auto out = Verify();
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.first_fault().round(), 2u);
  EXPECT_THAT(out.first_fault().what(), HasSubstr("update of client c01"));
}

TEST_F(VerifyTest, ALostBlobIsAFault) {
  ASSERT_OK(ledger_.blobs().Remove(ledger_.store().GetRound(kRun, 3)->round.model_sha256()));
  const auto out = Verify();
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.first_fault().round(), 3u);
  EXPECT_THAT(out.first_fault().what(), HasSubstr("missing"));
}

TEST_F(VerifyTest, DeletedUpdatesAreMissingAndNoFault) {
  v1::RunPlan plan = LedgerFixture::Plan();
  plan.set_keep_updates("round");
  ledger_.CreateRun(plan, "run-short");
  ledger_.CommitRound("run-short", 3);
  VerifyOptions options;
  options.run = "run-short";
  const auto out = Verify(options);
  EXPECT_TRUE(out.ok()) << out.first_fault().what();
  EXPECT_EQ(out.blobs_missing(), 3u);
  EXPECT_EQ(out.blobs_checked(), 2u);
}

TEST_F(VerifyTest, ADeletedRoundIsFound) {
  Unlock();
  for (const char* table : {"updates", "contributions", "rounds"}) {
    ASSERT_OK(ledger_.database().Run(absl::StrCat("DELETE FROM ", table, " WHERE round = 2")));
  }
  EXPECT_EQ(Verify().first_fault().round(), 2u);
}

TEST_F(VerifyTest, ACutOffEndIsFoundByTheRunsHead) {
  Unlock();
  for (const char* table : {"updates", "contributions", "records", "rounds"}) {
    ASSERT_OK(ledger_.database().Run(absl::StrCat("DELETE FROM ", table, " WHERE round = 4")));
  }
  const auto out = Verify();
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.first_fault().round(), 3u);
}

TEST_F(VerifyTest, ARowRewrittenWithItsDigestsLacksTheSignature) {
  Unlock();
  ASSERT_OK(ledger_.database().Run("UPDATE rounds SET test_accuracy = 0.99 WHERE round = 2"));
  ASSERT_OK_AND_ASSIGN(const std::string body, BuildBody(ledger_.database(), kRun, 2));
  ASSERT_OK_AND_ASSIGN(const history::Record record, ReadRecord(ledger_.database(), kRun, 2));
  const std::string body_sha256 = crypto::Sha256Hex(body);
  const std::string digest = crypto::Sha256Hex(history::RecordPreimage(record.previous_record_sha256, body_sha256));
  ASSERT_OK(ledger_.database().Run("UPDATE records SET body = ?1, body_sha256 = ?2, record_sha256 = ?3 WHERE round = 2",
                                   {Bytes{body}, body_sha256, digest}));
  const auto out = Verify();
  EXPECT_EQ(out.first_fault().round(), 2u);
  EXPECT_THAT(out.first_fault().what(), HasSubstr("not signed"));
}

TEST_F(VerifyTest, ARunWhoseRowIsGoneIsFound) {
  Unlock();
  ASSERT_OK(ledger_.database().Run("DELETE FROM runs"));
  const auto out = Verify();
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.first_fault().run(), kRun);
  EXPECT_THAT(out.first_fault().what(), HasSubstr("gone"));
}

TEST_F(VerifyTest, ARememberedHeadMustBeInTheChain) {
  VerifyOptions options;
  options.head = ledger_.store().GetRound(kRun, 2)->round.record_sha256();
  EXPECT_TRUE(Verify(options).ok());
  options.head = std::string(64, 'a');
  const auto out = Verify(options);
  EXPECT_FALSE(out.ok());
  EXPECT_THAT(out.first_fault().what(), HasSubstr(options.head));
}

TEST_F(VerifyTest, AnUnknownRunIsNotFound) {
  VerifyOptions options;
  options.run = "nobody";
  EXPECT_THAT(VerifyHistory(ledger_.database(), ledger_.blobs(), options), StatusIs(absl::StatusCode::kNotFound));
}

TEST(VerifyDirectoryTest, WorksBesideARunningCoordinator) {
  LedgerFixture::Options options;
  options.in_memory = false;
  LedgerFixture ledger(options);
  ledger.CreateRun();
  ledger.CommitRound(kRun, 2);
  const uint64_t open = ledger.BeginRound(kRun, 2);  // a writer that is in the middle of its work
  ASSERT_OK_AND_ASSIGN(const auto out, VerifyDirectory(ledger.directory(), VerifyOptions()));
  EXPECT_TRUE(out.ok()) << out.first_fault().what();
  EXPECT_EQ(out.rounds_checked(), 1u);
  EXPECT_THAT(ledger.store().AcceptUpdate(ledger.MakeAcceptance(kRun, open, "c00", "u")), IsOk());
}

}  // namespace
}  // namespace tributary::ledger
