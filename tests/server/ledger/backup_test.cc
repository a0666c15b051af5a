#include "server/ledger/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/files.h"
#include "common/crypto/digest.h"
#include "server/ledger/verify.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::ledger {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::LedgerFixture;
using testing::StatusIs;
using testing::TempDir;

constexpr const char* kKey = "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n";

class BackupTest : public ::testing::Test {
 protected:
  BackupTest() : ledger_(OnDisk()) {
    ledger_.CreateRun();
    ledger_.CommitRound("run-0001", 2);
    Write("federation.json", "{}");
    Write("pki/server/versions/1/key.pem", kKey);
    Write("pki/server/versions/1/certificate.pem", "-----BEGIN CERTIFICATE-----\n");
    TRB_CHECK(symlink("versions/1", (ledger_.directory() + "/pki/server/current").c_str()) == 0);
    Write("partial/half", "an upload that is not complete");
  }
  static LedgerFixture::Options OnDisk() {
    LedgerFixture::Options options;
    options.in_memory = false;
    return options;
  }
  void Write(const std::string& name, const std::string& contents) {
    const std::string path = absl::StrCat(ledger_.directory(), "/", name);
    TRB_CHECK(MakeDirectories(path.substr(0, path.rfind('/'))).ok());
    TRB_CHECK(WriteFileDurably(path, contents, 0600).ok());
  }
  std::string file() const { return out_.File("backup"); }
  std::string restored() const { return out_.File("restored"); }

  LedgerFixture ledger_;
  TempDir out_;
};

TEST_F(BackupTest, ARestoredDirectoryVerifiesAndHasItsSettings) {
  ASSERT_OK_AND_ASSIGN(const auto summary, Backup(ledger_.directory(), file(), /*with_keys=*/false));
  EXPECT_EQ(summary.private_keys_left_out, 1u);
  ASSERT_OK_AND_ASSIGN(const auto back, Restore(file(), restored()));
  EXPECT_EQ(back.files, summary.files);
  ASSERT_OK_AND_ASSIGN(const auto verified, VerifyDirectory(restored(), VerifyOptions()));
  EXPECT_TRUE(verified.ok()) << verified.first_fault().what();
  EXPECT_EQ(verified.head_sha256(), ledger_.store().GetRun("run-0001")->run.head_sha256());
  EXPECT_EQ(*ReadFile(restored() + "/federation.json"), "{}");
  EXPECT_THAT(*ReadFile(restored() + "/pki/server/current/certificate.pem"), HasSubstr("CERTIFICATE"))
      << "through the link";
  EXPECT_FALSE(FileExists(restored() + "/pki/server/versions/1/key.pem"));
  EXPECT_FALSE(FileExists(restored() + "/partial"));
}

TEST_F(BackupTest, TheFileIsPrivateAndHoldsNoKeyUnlessAsked) {
  ASSERT_THAT(Backup(ledger_.directory(), file(), /*with_keys=*/false), IsOk());
  struct stat info {};
  ASSERT_EQ(stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_THAT(*ReadFile(file()), ::testing::Not(HasSubstr("PRIVATE KEY")));
  EXPECT_FALSE(FileExists(file() + ".ledger"));
  const std::string with_keys = out_.File("with-keys");
  ASSERT_THAT(Backup(ledger_.directory(), with_keys, /*with_keys=*/true), IsOk());
  ASSERT_THAT(Restore(with_keys, restored()), IsOk());
  EXPECT_EQ(*ReadFile(restored() + "/pki/server/versions/1/key.pem"), kKey);
  EXPECT_OK(RequirePrivate(restored() + "/pki/server/versions/1/key.pem"));
}

TEST_F(BackupTest, TheRestoredLedgerGoesOn) {
  const uint64_t open = ledger_.BeginRound("run-0001", 2);
  ASSERT_THAT(Backup(ledger_.directory(), file(), false), IsOk());
  ASSERT_THAT(Restore(file(), restored()), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto database, OpenLedger(restored()));
  ASSERT_OK_AND_ASSIGN(const int64_t round, database->QueryInt("SELECT round FROM rounds WHERE state = 'training'"));
  EXPECT_EQ(round, static_cast<int64_t>(open));
}

TEST_F(BackupTest, DeletedUpdatesAreNotMissed) {
  ASSERT_OK(ledger_.store().SetRunState("run-0001", "completed", "", ledger_.now()));  // keep_updates = run
  ASSERT_THAT(Backup(ledger_.directory(), file(), false), IsOk());
  ASSERT_THAT(Restore(file(), restored()), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto verified, VerifyDirectory(restored(), VerifyOptions()));
  EXPECT_TRUE(verified.ok());
  EXPECT_EQ(verified.blobs_missing(), 2u);
}

TEST_F(BackupTest, ALostModelFailsTheBackupAndLeavesNothing) {
  ASSERT_OK(ledger_.blobs().Remove(ledger_.store().GetRun("run-0001")->run.model_sha256()));
  EXPECT_THAT(Backup(ledger_.directory(), file(), false), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(FileExists(file()));
}

TEST_F(BackupTest, NothingIsOverwritten) {
  ASSERT_THAT(Backup(ledger_.directory(), file(), false), IsOk());
  EXPECT_THAT(Backup(ledger_.directory(), file(), false), StatusIs(absl::StatusCode::kAlreadyExists));
  // The next one would hold it, and its keys.
  for (const char* inside : {"/b1", "/blobs/b1", "/./b1"})
    EXPECT_THAT(Backup(ledger_.directory(), ledger_.directory() + inside, false),
                StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Restore(file(), ledger_.directory()), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(BackupTest, AnyFlippedByteOrCutIsRefusedAndNothingIsLeft) {
  ASSERT_THAT(Backup(ledger_.directory(), file(), false), IsOk());
  const std::string whole = *ReadFile(file());
  for (const size_t at : {size_t{0}, size_t{25}, whole.size() / 3, whole.size() / 2, whole.size() - 1}) {
    std::string bad = whole;
    bad[at] ^= 1;
    ASSERT_OK(WriteFileDurably(file(), bad));
    EXPECT_THAT(Restore(file(), restored()), ::testing::Not(IsOk())) << at;
    EXPECT_FALSE(FileExists(restored())) << at;
  }
  for (const size_t size : {size_t{0}, size_t{10}, whole.size() / 2, whole.size() - 1}) {
    ASSERT_OK(WriteFileDurably(file(), whole.substr(0, size)));
    EXPECT_THAT(Restore(file(), restored()), StatusIs(absl::StatusCode::kDataLoss)) << size;
  }
  ASSERT_OK(WriteFileDurably(file(), whole + "x"));
  EXPECT_THAT(Restore(file(), restored()), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(FileExists(restored() + ".restoring"));
}

// A file that somebody made, with a right digest: it must not write outside.
std::string Crafted(char kind, const std::string& path, const std::string& content) {
  std::string out = "tributary-backup/v1\n";
  out.push_back(kind);
  AppendLengthPrefixed(&out, path);
  AppendLe32(&out, 0600);
  AppendLengthPrefixed(&out, content);
  out.push_back('e');
  return out + crypto::Sha256(out);
}

TEST_F(BackupTest, NoEntryLeavesTheDirectory) {
  for (const char* path : {"../evil", "/tmp/evil", "a/../../evil", ".", ""}) {
    ASSERT_OK(WriteFileDurably(file(), Crafted('f', path, "x")));
    EXPECT_THAT(Restore(file(), restored()), StatusIs(absl::StatusCode::kDataLoss)) << path;
  }
  for (const char* target : {"/etc", "../..", "a/../../b", ".."}) {
    ASSERT_OK(WriteFileDurably(file(), Crafted('l', "link", target)));
    EXPECT_THAT(Restore(file(), restored()), StatusIs(absl::StatusCode::kDataLoss)) << target;
  }
  ASSERT_OK(WriteFileDurably(file(), Crafted('f', "good", "x")));
  EXPECT_THAT(Restore(file(), restored()), IsOk());
  EXPECT_EQ(*ReadFile(restored() + "/good"), "x");
}

TEST(UpgradeTest, AnOlderFileIsBroughtUpAndADryRunOnlySaysSo) {
  TempDir dir;
  {
    ASSERT_OK_AND_ASSIGN(const auto old, storage::Database::Open(LedgerPath(dir.path())));
    ASSERT_OK(storage::Migrate(*old, LedgerMigrations().first(1)));
  }
  EXPECT_THAT(OpenLedgerReadOnly(dir.path()), StatusIs(absl::StatusCode::kFailedPrecondition));
  std::vector<std::string> steps = {
      absl::StrCat("keep a copy of the ledger as it is: ", LedgerCopyPath(dir.path(), 1))};
  for (const storage::Migration& later : LedgerMigrations().subspan(1))
    steps.push_back(absl::StrCat(later.version, " ", std::string(later.name)));
  const std::string before = *ReadFile(LedgerPath(dir.path()));
  EXPECT_EQ(*Upgrade(dir.path(), /*dry_run=*/true), steps);
  EXPECT_EQ(*ReadFile(LedgerPath(dir.path())), before);
  EXPECT_FALSE(FileExists(LedgerCopyPath(dir.path(), 1)));
  EXPECT_EQ(*Upgrade(dir.path(), /*dry_run=*/false), steps);
  EXPECT_THAT(*Upgrade(dir.path(), /*dry_run=*/false), ::testing::ElementsAre());
  EXPECT_THAT(OpenLedgerReadOnly(dir.path()), IsOk());
}

// Every row of the ledger `from`, in a file as a program of that schema wrote it.
void WriteOlderLedger(const std::string& from, const std::string& to, size_t version) {
  const auto old = storage::Database::Open(to).value();
  TRB_CHECK(storage::Migrate(*old, LedgerMigrations().first(version)).ok());
  TRB_CHECK(old->RunScript("PRAGMA foreign_keys=OFF").ok() && old->Run("ATTACH ?1 AS newer", {from}).ok());
  // Closed rounds are frozen by triggers: they come back when the rows are there.
  std::string drop, create, copy;
  TRB_CHECK(old->Query("SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger'", {},
                       [&](const auto& row) {
                         absl::StrAppend(&drop, "DROP TRIGGER ", row.Text(0), ";");
                         absl::StrAppend(&create, row.Text(1), ";");
                         return absl::OkStatus();
                       })
                .ok());
  TRB_CHECK(old->Query("SELECT t.name, group_concat(c.name) FROM main.sqlite_schema t JOIN pragma_table_info(t.name) c "
                       "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' GROUP BY t.name",
                       {},
                       [&](const auto& row) {
                         absl::StrAppend(&copy, "INSERT INTO main.", row.Text(0), " (", row.Text(1), ") SELECT ",
                                         row.Text(1), " FROM newer.", row.Text(0), ";");
                         return absl::OkStatus();
                       })
                .ok());
  TRB_CHECK(old->RunScript(drop + copy + create + "DETACH newer").ok());
}

TEST_F(BackupTest, AnOlderLedgerWithAHistoryIsCopiedBeforeItIsUpgraded) {
  constexpr int kOlder = 2;
  TempDir dir;
  // Its round was closed before the audit was chained: a record of version 1 names no row of it.
  ledger_.Unlock();
  ASSERT_OK(ledger_.database().Run("UPDATE rounds SET audit_sha256 = ''"));
  ledger_.RewriteRecord("run-0001", 1);
  WriteOlderLedger(LedgerPath(ledger_.directory()), LedgerPath(dir.path()), kOlder);
  std::filesystem::copy(ledger_.directory() + "/blobs", dir.path() + "/blobs",
                        std::filesystem::copy_options::recursive);
  ASSERT_OK(WriteFileDurably(LedgerCopyPath(dir.path(), kOlder) + ".new", "of an attempt that was cut off"));
  ASSERT_THAT(Upgrade(dir.path(), /*dry_run=*/false), IsOk());
  {
    ASSERT_OK_AND_ASSIGN(const auto upgraded, OpenLedger(dir.path()));
    EXPECT_THAT(upgraded->QueryInt("SELECT count(*) FROM updates"), testing::IsOkAndHolds(2));
    // As the coordinator does when it starts.
    ASSERT_OK(upgraded->Run("ATTACH ?1 AS newer", {LedgerPath(ledger_.directory())}));
    ASSERT_OK(upgraded->RunScript("INSERT INTO main.authorities SELECT * FROM newer.authorities; DETACH newer"));
  }
  ASSERT_OK_AND_ASSIGN(const auto verified, VerifyDirectory(dir.path(), VerifyOptions()));
  EXPECT_TRUE(verified.ok()) << verified.first_fault().what();
  EXPECT_EQ(verified.rounds_checked(), 1u);
  // The way back: what an older program opens.
  struct stat info {};
  ASSERT_EQ(stat(LedgerCopyPath(dir.path(), kOlder).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_FALSE(FileExists(LedgerCopyPath(dir.path(), kOlder) + ".new"));
  ASSERT_OK_AND_ASSIGN(const auto copy, storage::Database::Open(LedgerCopyPath(dir.path(), kOlder), {.check = true}));
  EXPECT_THAT(storage::SchemaVersion(*copy), testing::IsOkAndHolds(kOlder));
  EXPECT_THAT(copy->QueryInt("SELECT count(*) FROM updates"), testing::IsOkAndHolds(2));
}

TEST_F(BackupTest, WithoutRoomForTheCopyNothingIsUpgraded) {
  TempDir dir;
  WriteOlderLedger(LedgerPath(ledger_.directory()), LedgerPath(dir.path()), 2);
  // Nothing can be made by this name.
  ASSERT_OK(MakeDirectories(LedgerCopyPath(dir.path(), 2) + ".new/in-the-way"));
  EXPECT_FALSE(Upgrade(dir.path(), /*dry_run=*/false).ok());
  EXPECT_FALSE(OpenLedger(dir.path()).ok());
  ASSERT_OK_AND_ASSIGN(const auto old, storage::Database::Open(LedgerPath(dir.path())));
  EXPECT_THAT(storage::SchemaVersion(*old), testing::IsOkAndHolds(2));
}

TEST(UpgradeTest, NeedsTheDirectoryToItselfAndALedger) {
  TempDir dir;
  EXPECT_THAT(Upgrade(dir.path(), true), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_THAT(OpenLedger(dir.path()), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto lock, DirectoryLock::Acquire(dir.path()));
  EXPECT_THAT(Upgrade(dir.path(), false), StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace tributary::ledger
