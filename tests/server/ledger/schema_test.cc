#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/history/best_round.h"
#include "server/ledger/ledger_store.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::ledger {
namespace {

using history::IsBetterRound;
using storage::Database;
using storage::Row;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::LedgerFixture;
using testing::StatusIs;
using testing::TempDir;

std::vector<std::string> Texts(Database& database, const std::string& sql) {
  std::vector<std::string> out;
  EXPECT_OK(database.Query(sql, {}, [&](const Row& row) {
    out.push_back(row.Text(0));
    return absl::OkStatus();
  }));
  return out;
}

TEST(SchemaTest, AnUpgradedFileEqualsAFreshOne) {
  TempDir dir;
  ASSERT_OK_AND_ASSIGN(const auto fresh, Database::Open(":memory:"));
  ASSERT_OK(storage::Migrate(*fresh, LedgerMigrations()));
  for (size_t from = 0; from < LedgerMigrations().size(); ++from) {
    ASSERT_OK_AND_ASSIGN(const auto old, Database::Open(dir.File(absl::StrCat("from-", from))));
    ASSERT_OK(storage::Migrate(*old, LedgerMigrations().first(from)));
    ASSERT_OK(storage::Migrate(*old, LedgerMigrations()));
    const std::string sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name";
    EXPECT_EQ(Texts(*old, sql), Texts(*fresh, sql)) << "from schema " << from;
  }
}

TEST(SchemaTest, EveryTableIsStrict) {
  LedgerFixture ledger;
  EXPECT_THAT(Texts(ledger.database(),
                    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict AND "
                    "name NOT LIKE 'sqlite_%'"),
              ::testing::ElementsAre());
}

TEST(SchemaTest, EveryForeignKeyHolds) {
  LedgerFixture ledger;
  ledger.CreateRun();
  ledger.CommitRound("run-0001", 3);
  EXPECT_THAT(Texts(ledger.database(), "SELECT \"table\" FROM pragma_foreign_key_check"), ::testing::ElementsAre());
}

TEST(SchemaTest, AFileOfANewerVersionIsRefusedByName) {
  TempDir dir;
  {
    ASSERT_OK_AND_ASSIGN(const auto newer, OpenLedger(dir.path()));
    ASSERT_OK(newer->RunScript("PRAGMA user_version=7"));
  }
  for (const auto& status : {OpenLedger(dir.path()).status(), OpenLedgerReadOnly(dir.path()).status()}) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("made by a newer version: schema 7, this program knows 5")));
    EXPECT_THAT(std::string(status.message()), HasSubstr("ledger.db"));
  }
}

TEST(SchemaTest, ADamagedLedgerIsRefusedWithTheWayOut) {
  TempDir dir;
  ASSERT_THAT(OpenLedger(dir.path()), IsOk());
  std::string bytes = *ReadFile(LedgerPath(dir.path()));
  ASSERT_GT(bytes.size(), 40'000u);
  for (size_t i = 20'000; i < 30'000; ++i) bytes[i] = 'x';
  ASSERT_OK(WriteFileDurably(LedgerPath(dir.path()), bytes, 0600));
  EXPECT_THAT(OpenLedger(dir.path()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("restore")));
}

TEST(SchemaTest, ClosedRoundsAreFrozenForPlainSqlToo) {
  LedgerFixture ledger;
  ledger.CreateRun();
  ledger.CommitRound("run-0001", 2);
  for (const char* sql :
       {"UPDATE rounds SET test_accuracy = 1", "DELETE FROM rounds", "UPDATE contributions SET weight = 1",
        "DELETE FROM contributions", "UPDATE updates SET receipt = x''", "DELETE FROM updates",
        "UPDATE records SET body = x''", "DELETE FROM records", "UPDATE audit SET actor = 'x'", "DELETE FROM audit",
        "INSERT INTO contributions (run_id, round, client_id, client_name, task_id, state) "
        "VALUES ('run-0001', 1, 'c09', 'n', 't', 'invited')"}) {
    EXPECT_THAT(ledger.database().Run(sql), StatusIs(absl::StatusCode::kFailedPrecondition)) << sql;
  }
}

TEST(SchemaTest, ListingsUseIndexes) {
  LedgerFixture ledger;
  for (const char* sql : {"SELECT * FROM rounds WHERE run_id = 'r' AND round < 5 ORDER BY round DESC LIMIT 5",
                          "SELECT * FROM rounds WHERE run_id = 'r' AND state NOT IN ('committed', 'abandoned')",
                          "SELECT * FROM contributions WHERE run_id = 'r' AND round = 5",
                          "SELECT * FROM contributions WHERE client_id = 'c' ORDER BY sequence DESC LIMIT 20",
                          "SELECT * FROM updates WHERE run_id = 'r' AND round = 5 AND client_id = 'c'",
                          "SELECT * FROM audit ORDER BY sequence DESC LIMIT 100"}) {
    std::string plan;
    ASSERT_OK(ledger.database().Query(absl::StrCat("EXPLAIN QUERY PLAN ", sql), {}, [&](const Row& row) {
      absl::StrAppend(&plan, row.Text(3), "\n");
      return absl::OkStatus();
    }));
    EXPECT_THAT(plan, ::testing::Not(HasSubstr("TEMP B-TREE"))) << sql;
    if (std::string(sql).find("audit") == std::string::npos) {
      EXPECT_THAT(plan, ::testing::Not(HasSubstr("SCAN"))) << sql;
    }
  }
}

// Counts what SQLite does, in instructions of its virtual machine, on all connections that are opened while it lives.
class StepCounter {
 public:
  StepCounter() {
    steps_ = 0;
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(Install));
  }
  ~StepCounter() { sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(Install)); }
  int64_t Take() { return std::exchange(steps_, 0); }

 private:
  static constexpr int kEvery = 10;
  static int Install(sqlite3* connection, char**, const sqlite3_api_routines*) {
    sqlite3_progress_handler(connection, kEvery, Count, nullptr);
    return SQLITE_OK;
  }
  static int Count(void*) {
    steps_ += kEvery;
    return 0;
  }
  static inline int64_t steps_ = 0;
};

// How long it takes is for tests/bench/round_bench.
TEST(SchemaTest, APageOfAHundredThousandRoundsCostsNoMoreThanItsOwnRows) {
  StepCounter counter;
  LedgerFixture ledger;
  ledger.CreateRun();
  ASSERT_OK(ledger.database().RunScript(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
      "INSERT INTO rounds (run_id, round, state, previous_record_sha256, base_model_sha256, started_unix_ms) "
      "SELECT 'run-0001', i, 'committed', printf('%064d', i), printf('%064d', i), i FROM n;"
      "INSERT INTO records (run_id, round, previous_record_sha256, body_sha256, record_sha256, signature, body) "
      "SELECT run_id, round, previous_record_sha256, previous_record_sha256, printf('%064d', round), x'00', "
      "zeroblob(2000) FROM rounds"));
  EXPECT_GT(counter.Take(), 1'000'000) << "the counter counts";
  ASSERT_OK_AND_ASSIGN(const auto page, ledger.store().ListNewestRounds("run-0001", 0, 1000));
  ASSERT_OK_AND_ASSIGN(const auto open, ledger.store().GetOpenRound("run-0001"));
  ASSERT_OK_AND_ASSIGN(const auto run, ledger.store().GetRun("run-0001"));
  ASSERT_OK_AND_ASSIGN(const auto links, ledger.store().ListLinks("run-0001", 99'000, 100'000));
  const int64_t steps = counter.Take();
  EXPECT_EQ(page.size(), 1000u);
  EXPECT_EQ(links.size(), 1001u);
  EXPECT_FALSE(open.has_value());
  EXPECT_GT(steps, 2'001);
  EXPECT_LT(steps, 200'000);  // a look at each of the hundred thousand would be more
}

// ---- which round is best

v1::Round Round(std::optional<double> test, std::optional<double> validation, std::optional<double> loss) {
  v1::Round round;
  if (test) round.set_test_accuracy(*test);
  if (validation) round.set_validation_accuracy(*validation);
  if (loss) round.set_train_loss(*loss);
  return round;
}

TEST(BestRoundTest, TestAccuracyThenValidationAccuracyThenLoss) {
  const std::nullopt_t none = std::nullopt;
  EXPECT_TRUE(IsBetterRound(Round(0.9, 0.1, 9.0), Round(0.8, 0.9, 0.1)));
  EXPECT_FALSE(IsBetterRound(Round(0.8, 0.9, 0.1), Round(0.9, 0.1, 9.0)));
  EXPECT_TRUE(IsBetterRound(Round(none, 0.9, 9.0), Round(none, 0.8, 0.1)));
  EXPECT_TRUE(IsBetterRound(Round(none, none, 0.1), Round(none, none, 0.2)));
  EXPECT_FALSE(IsBetterRound(Round(none, none, 0.2), Round(none, none, 0.1)));
  EXPECT_TRUE(IsBetterRound(Round(0.1, none, none), Round(none, 0.9, none))) << "measured beats not measured";
  EXPECT_FALSE(IsBetterRound(Round(none, 0.9, none), Round(0.1, none, none)));
}

TEST(BestRoundTest, TheEarliestWinsTies) {
  EXPECT_FALSE(IsBetterRound(Round(0.9, 0.9, 0.1), Round(0.9, 0.8, 0.2)));
  EXPECT_FALSE(IsBetterRound(v1::Round(), v1::Round()));
}

}  // namespace
}  // namespace tributary::ledger
