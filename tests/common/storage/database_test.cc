#include "common/storage/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using testing::StatusIs;
using testing::TempDir;

class DatabaseTest : public ::testing::Test {
 protected:
  DatabaseTest() : database_(Database::Open(Path()).value()) {
    TRB_CHECK(
        database_->RunScript("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, r REAL, s TEXT, b BLOB) STRICT").ok());
  }
  std::string Path() const { return dir_.File("test.db"); }
  int64_t Rows() { return database_->QueryInt("SELECT count(*) FROM t").value(); }

  TempDir dir_;
  std::unique_ptr<Database> database_;
};

TEST_F(DatabaseTest, ConnectionIsDurableAndStrict) {
  EXPECT_THAT(database_->QueryText("PRAGMA journal_mode"), IsOkAndHolds("wal"));
  EXPECT_THAT(database_->QueryInt("PRAGMA synchronous"), IsOkAndHolds(2));
  EXPECT_THAT(database_->QueryInt("PRAGMA foreign_keys"), IsOkAndHolds(1));
}

TEST_F(DatabaseTest, TheFileIsPrivate) {
  ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (1)"));
  EXPECT_OK(RequirePrivate(Path()));
  EXPECT_OK(RequirePrivate(Path() + "-wal"));
}

TEST_F(DatabaseTest, ValuesComeBackAsTheyWere) {
  const std::string bytes("a\0b\xff", 4), text("z\0\xc3\xa9", 4);
  ASSERT_OK(database_->Run("INSERT INTO t (a, r, s, b) VALUES (?1, ?2, ?3, ?4)",
                           {int64_t{INT64_MIN}, 0.1, text, Bytes{bytes}}));
  ASSERT_THAT(database_->QueryOne("SELECT a, r, s, b FROM t", {},
                                  [&](const Row& row) {
                                    EXPECT_EQ(row.columns(), 4);
                                    EXPECT_EQ(row.Name(2), "s");
                                    EXPECT_EQ(row.Int(0), INT64_MIN);
                                    EXPECT_EQ(row.Real(1), 0.1);
                                    EXPECT_EQ(row.Text(2), text);
                                    EXPECT_EQ(row.Text(3), bytes);
                                    EXPECT_EQ(row.Kind(3), Arg::Kind::kBlob);
                                  }),
              IsOkAndHolds(true));
}

TEST_F(DatabaseTest, AbsentIsNullAndEmptyIsNot) {
  ASSERT_OK(database_->Run("INSERT INTO t (a, r, s, b) VALUES (?1, ?2, ?3, ?4)",
                           {std::optional<uint64_t>(), nullptr, "", Bytes{""}}));
  ASSERT_THAT(database_->QueryOne("SELECT a, r, s, b FROM t", {},
                                  [&](const Row& row) {
                                    EXPECT_FALSE(row.OptionalInt(0).has_value());
                                    EXPECT_FALSE(row.OptionalUint(0).has_value());
                                    EXPECT_FALSE(row.OptionalReal(1).has_value());
                                    EXPECT_FALSE(row.IsNull(2));
                                    EXPECT_FALSE(row.IsNull(3));
                                    EXPECT_EQ(row.Kind(0), Arg::Kind::kNull);
                                  }),
              IsOkAndHolds(true));
}

TEST_F(DatabaseTest, NumbersThatDoNotFitAreRefused) {
  EXPECT_OK(database_->Run("INSERT INTO t (a) VALUES (?1)", {uint64_t{INT64_MAX}}));
  EXPECT_THAT(database_->Run("INSERT INTO t (a) VALUES (?1)", {uint64_t{INT64_MAX} + 1}),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(Rows(), 1);
}

TEST_F(DatabaseTest, QueriesGiveRowsInOrderAndStopAtAnError) {
  for (int i = 0; i < 5; ++i) ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (?1)", {i}));
  std::vector<int64_t> seen;
  ASSERT_OK(database_->Query("SELECT a FROM t WHERE a > ?1 ORDER BY a", {1}, [&](const Row& row) {
    seen.push_back(row.Int(0));
    return absl::OkStatus();
  }));
  EXPECT_THAT(seen, ElementsAre(2, 3, 4));
  seen.clear();
  EXPECT_THAT(database_->Query("SELECT a FROM t ORDER BY a", {},
                               [&](const Row& row) {
                                 seen.push_back(row.Int(0));
                                 return absl::CancelledError("enough");
                               }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(seen, ElementsAre(0));
}

TEST_F(DatabaseTest, AQueryMayUseTheSameQueryInside) {
  ASSERT_OK(database_->RunScript("INSERT INTO t (a) VALUES (1), (2)"));
  int pairs = 0;
  const auto count = [&](const Row&) {
    ++pairs;
    return absl::OkStatus();
  };
  ASSERT_OK(database_->Query("SELECT a FROM t", {},
                             [&](const Row&) { return database_->Query("SELECT a FROM t", {}, count); }));
  EXPECT_EQ(pairs, 4);
}

TEST_F(DatabaseTest, ChangeCountsRows) {
  ASSERT_OK(database_->RunScript("INSERT INTO t (a) VALUES (1), (2), (3)"));
  EXPECT_THAT(database_->Change("UPDATE t SET a = 0 WHERE a > ?1", {1}), IsOkAndHolds(2));
  EXPECT_THAT(database_->Change("DELETE FROM t WHERE a = 77"), IsOkAndHolds(0));
  EXPECT_EQ(database_->LastInsertRowId(), 3);
}

TEST_F(DatabaseTest, NoRowIsNotFound) {
  EXPECT_THAT(database_->QueryInt("SELECT a FROM t"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(database_->QueryText("SELECT s FROM t"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(database_->QueryOne("SELECT s FROM t", {}, [](const Row&) {}), IsOkAndHolds(false));
}

TEST_F(DatabaseTest, ConstraintsHaveTheirCodes) {
  ASSERT_OK(database_->RunScript(
      "CREATE TABLE u (k TEXT PRIMARY KEY, v INTEGER NOT NULL CHECK (v > 0), t INTEGER REFERENCES t (id)) STRICT;"
      "INSERT INTO u VALUES ('a', 1, NULL)"));
  EXPECT_THAT(database_->Run("INSERT INTO u VALUES ('a', 1, NULL)"), StatusIs(absl::StatusCode::kAlreadyExists));
  for (const char* sql : {"INSERT INTO u VALUES ('b', 0, NULL)", "INSERT INTO u VALUES ('b', NULL, NULL)",
                          "INSERT INTO u VALUES ('b', 1, 99)", "INSERT INTO u VALUES ('b', 'text', NULL)"}) {
    EXPECT_THAT(database_->Run(sql), StatusIs(absl::StatusCode::kFailedPrecondition)) << sql;
  }
  EXPECT_THAT(database_->Run("SELECT nonsense"), StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(database_->Run("INSERT INTO u VALUES (?1, 1, NULL)", {"c", "one too many"}),
              StatusIs(absl::StatusCode::kInternal));
}

TEST_F(DatabaseTest, AStatementWorksAgainAfterItsError) {
  ASSERT_OK(database_->RunScript("CREATE TABLE k (id INTEGER PRIMARY KEY) STRICT"));
  const char* const insert = "INSERT INTO k VALUES (?1)";
  EXPECT_OK(database_->Run(insert, {1}));
  EXPECT_THAT(database_->Run(insert, {1}), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_OK(database_->Run(insert, {2}));
}

// ---- transactions

TEST_F(DatabaseTest, ACommitSurvivesReopening) {
  {
    ASSERT_OK_AND_ASSIGN(const auto transaction, Transaction::Begin(*database_));
    ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (1)"));
    ASSERT_OK(transaction->Commit());
    EXPECT_THAT(transaction->Commit(), StatusIs(absl::StatusCode::kFailedPrecondition));
  }
  database_.reset();
  database_ = Database::Open(Path()).value();
  EXPECT_EQ(Rows(), 1);
}

TEST_F(DatabaseTest, WithoutCommitNothingHappened) {
  {
    ASSERT_OK_AND_ASSIGN(const auto transaction, Transaction::Begin(*database_));
    ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (1)"));
  }
  EXPECT_EQ(Rows(), 0);
}

TEST_F(DatabaseTest, ATransactionInsideAnotherIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto transaction, Transaction::Begin(*database_));
  EXPECT_THAT(Transaction::Begin(*database_), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(transaction->Commit());
  EXPECT_THAT(Transaction::Begin(*database_), IsOk());
}

TEST_F(DatabaseTest, APartOfATransactionIsDoneWithTheWhole) {
  {
    ASSERT_OK_AND_ASSIGN(const auto whole, Transaction::Begin(*database_));
    ASSERT_OK_AND_ASSIGN(const auto part, Transaction::BeginOrJoin(*database_));
    ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (1)"));
    ASSERT_OK(part->Commit());
  }
  EXPECT_EQ(Rows(), 0) << "the whole was not committed";
  ASSERT_OK_AND_ASSIGN(const auto alone, Transaction::BeginOrJoin(*database_));
  ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (1)"));
  ASSERT_OK(alone->Commit());
  EXPECT_EQ(Rows(), 1) << "without a whole it is one itself";
}

TEST_F(DatabaseTest, AWholeWhosePartFailedIsNotCommitted) {
  {
    ASSERT_OK_AND_ASSIGN(const auto whole, Transaction::Begin(*database_));
    ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (1)"));
    { ASSERT_OK_AND_ASSIGN(const auto part, Transaction::BeginOrJoin(*database_)); }
    EXPECT_THAT(whole->Commit(), StatusIs(absl::StatusCode::kAborted));
  }
  EXPECT_EQ(Rows(), 0);
  ASSERT_OK_AND_ASSIGN(const auto next, Transaction::Begin(*database_));
  ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (2)"));
  EXPECT_OK(next->Commit()) << "the next one is not held to it";
}

TEST_F(DatabaseTest, ThreadsTakeTurns) {
  ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (0)"));
  const auto add = [&] {
    for (int i = 0; i < 20; ++i) {
      const auto transaction = Transaction::Begin(*database_).value();
      const int64_t old = database_->QueryInt("SELECT a FROM t").value();
      ASSERT_OK(database_->Run("UPDATE t SET a = ?1", {old + 1}));
      ASSERT_OK(transaction->Commit());
    }
  };
  std::thread one(add), two(add), three(add);
  one.join();
  two.join();
  three.join();
  EXPECT_THAT(database_->QueryInt("SELECT a FROM t"), IsOkAndHolds(60));
}

// ---- two connections

TEST_F(DatabaseTest, AReaderKeepsItsViewWhileAWriterCommits) {
  ASSERT_OK_AND_ASSIGN(const auto reader, Database::Open(Path(), /*read_only=*/true));
  ASSERT_OK_AND_ASSIGN(const auto view, Transaction::Begin(*reader, Transaction::Kind::kRead));
  EXPECT_THAT(reader->QueryInt("SELECT count(*) FROM t"), IsOkAndHolds(0));
  ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (1)"));
  EXPECT_THAT(reader->QueryInt("SELECT count(*) FROM t"), IsOkAndHolds(0));
  ASSERT_OK(view->Commit());
  EXPECT_THAT(reader->QueryInt("SELECT count(*) FROM t"), IsOkAndHolds(1));
}

TEST_F(DatabaseTest, AReaderChangesNothing) {
  ASSERT_OK_AND_ASSIGN(const auto reader, Database::Open(Path(), /*read_only=*/true));
  EXPECT_TRUE(reader->read_only());
  EXPECT_THAT(reader->Run("INSERT INTO t (a) VALUES (1)"), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(DatabaseTest, ASecondWriterWaitsAndThenSaysWho) {
  Database::Options options;
  options.busy_timeout_ms = 20;
  ASSERT_OK_AND_ASSIGN(const auto other, Database::Open(Path(), options));
  ASSERT_OK_AND_ASSIGN(const auto transaction, Transaction::Begin(*database_));
  EXPECT_THAT(Transaction::Begin(*other), StatusIs(absl::StatusCode::kUnavailable, HasSubstr(Path())));
  ASSERT_OK(transaction->Commit());
  EXPECT_THAT(Transaction::Begin(*other), IsOk());
}

// ---- what goes wrong with files

TEST(DatabaseFileTest, AReaderMakesNoFile) {
  TempDir dir;
  EXPECT_THAT(Database::Open(dir.File("none.db"), /*read_only=*/true), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(FileExists(dir.File("none.db")));
  EXPECT_THAT(Database::Open(dir.File("no/folder/x.db")), StatusIs(absl::StatusCode::kNotFound));
}

TEST(DatabaseFileTest, AFileThatIsNoDatabaseIsNamedWithTheWayOut) {
  TempDir dir;
  const std::string path = dir.Write("x.db", std::string(5000, 'x'));
  Database::Options options;
  options.way_out = "ask the archivist";
  const auto opened = Database::Open(path, options);
  EXPECT_THAT(opened, StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)));
  EXPECT_THAT(opened, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("ask the archivist")));
}

TEST_F(DatabaseTest, AFullDiskRollsBackAndSaysSo) {
  ASSERT_OK(database_->RunScript("PRAGMA max_page_count=20"));
  {
    ASSERT_OK_AND_ASSIGN(const auto transaction, Transaction::Begin(*database_));
    ASSERT_OK(database_->Run("INSERT INTO t (a) VALUES (1)"));
    EXPECT_THAT(database_->Run("INSERT INTO t (b) VALUES (zeroblob(1000000))"),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr(Path())));
  }
  EXPECT_EQ(Rows(), 0);
  ASSERT_OK(database_->RunScript("PRAGMA max_page_count=100000"));
  EXPECT_OK(database_->Run("INSERT INTO t (b) VALUES (zeroblob(1000000))"));
}

TEST_F(DatabaseTest, ADamagedPageIsFoundByTheCheck) {
  for (int i = 0; i < 200; ++i) ASSERT_OK(database_->Run("INSERT INTO t (s) VALUES (?1)", {std::string(500, 's')}));
  database_.reset();  // the log is written back
  std::string bytes = *ReadFile(Path());
  for (size_t i = 8192; i < 8192 + 200; ++i) bytes[i] = '\x7f';
  ASSERT_OK(WriteFileDurably(Path(), bytes, 0600));
  Database::Options options;
  options.check = true;
  EXPECT_THAT(Database::Open(Path(), options), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(Path())));
}

}  // namespace
}  // namespace tributary::storage
