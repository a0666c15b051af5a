#include "common/storage/migrations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::storage {
namespace {

using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::StatusIs;
using testing::TempDir;

const Migration kSteps[] = {
    {1, "first", "CREATE TABLE a (x INTEGER NOT NULL) STRICT; INSERT INTO a VALUES (1)"},
    {2, "second", "ALTER TABLE a ADD COLUMN y TEXT NOT NULL DEFAULT ''"},
    {3, "third", "CREATE TABLE b (z BLOB NOT NULL) STRICT"},
};
const std::span<const Migration> kAll(kSteps);

class MigrationsTest : public ::testing::Test {
 protected:
  TempDir dir_;
  std::unique_ptr<Database> database_ = Database::Open(dir_.File("x.db")).value();
};

TEST_F(MigrationsTest, AFreshFileGetsEveryStep) {
  ASSERT_OK(Migrate(*database_, kAll));
  EXPECT_THAT(SchemaVersion(*database_), IsOkAndHolds(3));
  EXPECT_OK(RequireNewestSchema(*database_, kAll));
}

TEST_F(MigrationsTest, EveryOlderFileIsBroughtUpWithItsRows) {
  ASSERT_OK(Migrate(*database_, kAll.first(1)));
  ASSERT_OK_AND_ASSIGN(const auto pending, PendingMigrations(*database_, kAll));
  ASSERT_EQ(pending.size(), 2u);
  EXPECT_EQ(pending[0].name, "second");
  EXPECT_THAT(RequireNewestSchema(*database_, kAll),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("schema 1, this program needs 3")));
  ASSERT_OK(Migrate(*database_, kAll));
  EXPECT_THAT(database_->QueryInt("SELECT x FROM a"), IsOkAndHolds(1));
}

TEST_F(MigrationsTest, MigratingAgainDoesNothing) {
  ASSERT_OK(Migrate(*database_, kAll));
  ASSERT_OK(Migrate(*database_, kAll));
  EXPECT_THAT(database_->QueryInt("SELECT count(*) FROM a"), IsOkAndHolds(1));
}

TEST_F(MigrationsTest, ANewerFileIsRefusedByNameAndVersion) {
  ASSERT_OK(Migrate(*database_, kAll));
  EXPECT_THAT(Migrate(*database_, kAll.first(2)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("x.db: made by a newer version: schema 3, this program knows 2")));
}

TEST_F(MigrationsTest, AStepThatFailsLeavesTheOneBefore) {
  const Migration broken[] = {kSteps[0], {2, "broken", "CREATE TABLE b (z BLOB) STRICT; CREATE TABLE a (x INTEGER)"}};
  EXPECT_THAT(Migrate(*database_, broken), StatusIs(absl::StatusCode::kInternal, HasSubstr("schema 2 (broken)")));
  EXPECT_THAT(SchemaVersion(*database_), IsOkAndHolds(1));
  EXPECT_THAT(database_->QueryInt("SELECT count(*) FROM sqlite_schema WHERE name = 'b'"), IsOkAndHolds(0));
}

}  // namespace
}  // namespace tributary::storage
