#include "common/base/files.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::StatusIs;
using testing::TempDir;

mode_t ModeOf(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0);
  return info.st_mode & 07777;
}

size_t EntriesIn(const std::string& path) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path), {}));
}

class FilesTest : public ::testing::Test {
 protected:
  const TempDir dir_;
};

TEST_F(FilesTest, ReadGivesTheWholeFile) {
  const std::string contents(100'000, 'x');
  EXPECT_THAT(ReadFile(dir_.Write("a", contents)), IsOkAndHolds(contents));
  EXPECT_THAT(ReadFile(dir_.Write("b", "")), IsOkAndHolds(""));
}

TEST_F(FilesTest, ReadErrorsNameThePath) {
  EXPECT_THAT(ReadFile(dir_.File("none")),
              StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr(dir_.File("none")), HasSubstr("No such file"))));
  EXPECT_THAT(ReadFile(dir_.path()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a directory")));
}

TEST_F(FilesTest, ReadStopsAtItsLimit) {
  const std::string path = dir_.Write("a", "12345");
  EXPECT_THAT(ReadFile(path, 5), IsOkAndHolds("12345"));
  EXPECT_THAT(ReadFile(path, 4), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("5 bytes")));
}

// What has no size, a pipe here, is not cut at the limit either: half a file of settings may still be a file of
// settings.
TEST_F(FilesTest, ReadRefusesAPipeThatBringsMoreThanTheLimit) {
  const auto read_piped = [](const std::string& contents, uint64_t limit) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    EXPECT_EQ(write(ends[1], contents.data(), contents.size()), static_cast<ssize_t>(contents.size()));
    close(ends[1]);
    auto read = ReadFile(absl::StrCat("/dev/fd/", ends[0]), limit);
    close(ends[0]);
    return read;
  };
  const std::string contents(5000, 'x');
  EXPECT_THAT(read_piped(contents, 5000), IsOkAndHolds(contents));
  EXPECT_THAT(read_piped(contents, 4999), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("limit of 4999")));
  EXPECT_THAT(read_piped("x", 0), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(read_piped("", 0), IsOkAndHolds(""));
}

TEST_F(FilesTest, WriteReplacesAndSetsTheMode) {
  const std::string path = dir_.File("key");
  EXPECT_OK(WriteFileDurably(path, "old"));
  EXPECT_OK(WriteFileDurably(path, "new", 0600));
  EXPECT_THAT(ReadFile(path), IsOkAndHolds("new"));
  EXPECT_EQ(ModeOf(path), 0600u);
  EXPECT_EQ(EntriesIn(dir_.path()), 1u) << "no temporary file may stay";
}

TEST_F(FilesTest, FailedWriteLeavesNothingBehind) {
  std::filesystem::create_directories(dir_.File("target/full"));
  EXPECT_FALSE(WriteFileDurably(dir_.File("target"), "x").ok());  // a file cannot replace a directory
  EXPECT_EQ(EntriesIn(dir_.path()), 1u);
  EXPECT_THAT(WriteFileDurably(dir_.File("none/x"), "x"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FilesTest, MakeDirectoriesMakesParentsAndIsRepeatable) {
  EXPECT_OK(MakeDirectories(dir_.File("a/b/c"), 0700));
  EXPECT_EQ(ModeOf(dir_.File("a/b/c")), 0700u);
  EXPECT_OK(MakeDirectories(dir_.File("a/b/c")));
  EXPECT_THAT(MakeDirectories(dir_.Write("file", "")), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(FilesTest, RequirePrivateRefusesWhatOthersMayRead) {
  const std::string path = dir_.Write("key", "secret");
  chmod(path.c_str(), 0600);
  EXPECT_OK(RequirePrivate(path));
  for (const mode_t mode : {0640, 0604, 0620, 0601}) {
    chmod(path.c_str(), mode);
    EXPECT_THAT(RequirePrivate(path), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("chmod 600")));
  }
  EXPECT_THAT(RequirePrivate(dir_.File("none")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FilesTest, RemoveOfWhatIsAbsentIsOk) {
  const std::string path = dir_.Write("a", "");
  EXPECT_TRUE(FileExists(path));
  EXPECT_OK(RemoveFile(path));
  EXPECT_FALSE(FileExists(path));
  EXPECT_OK(RemoveFile(path));
}

TEST_F(FilesTest, SyncOfAMissingDirectoryFails) {
  EXPECT_OK(SyncDirectory(dir_.path()));
  EXPECT_THAT(SyncDirectory(dir_.File("none")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FilesTest, WhatCannotBeSyncedAtAllIsAnErrorOnly) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_THAT(SyncFile(ends[1], "a pipe"), StatusIs(absl::StatusCode::kInternal, HasSubstr("fsync a pipe")));
  close(ends[0]);
  close(ends[1]);
}

TEST(FilesDeathTest, AFailedSyncEndsTheProcessWithAMessage) {
  EXPECT_EXIT(EndAfterFailedSync("fsync /x: Input/output error"), ::testing::ExitedWithCode(1),
              "error: the disk did not keep what was written, so this process ends: fsync /x: Input/output error\n"
              "fix: look at the disk");
}

TEST_F(FilesTest, SweepingRemovesWhatAKilledWriterLeftAndNothingElse) {
  const std::string left[] = {dir_.Write("a.tmp-12-0", "x"), dir_.Write("pki/v/key.pem.tmp-345-67", "x")};
  const std::string kept[] = {dir_.Write("a", "x"), dir_.Write("a.tmp-mine", "x"), dir_.Write("b.tmp-1", "x"),
                              dir_.Write("c.tmp-1-2.txt", "x"), dir_.Write("blobs/d.tmp-1-2", "x")};
  ASSERT_OK(SweepTemporaries(dir_.path(), {"blobs"}));
  for (const std::string& path : left) EXPECT_FALSE(FileExists(path)) << path;
  for (const std::string& path : kept) EXPECT_TRUE(FileExists(path)) << path;
  ASSERT_OK(SweepTemporaries(dir_.path()));
  EXPECT_FALSE(FileExists(kept[4]));
}

TEST_F(FilesTest, OneHolderOfADirectoryAtATime) {
  {
    ASSERT_OK_AND_ASSIGN(const auto lock, DirectoryLock::Acquire(dir_.path()));
    EXPECT_THAT(DirectoryLock::Acquire(dir_.path()),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr(dir_.path()), HasSubstr(std::to_string(getpid())))));
  }
  EXPECT_OK(DirectoryLock::Acquire(dir_.path()));
}

TEST_F(FilesTest, WhatAnotherUserOwnsIsNoMatterOfIdentities) {
  const absl::Status refused = ErrnoToStatus(EACCES, "open x");
  EXPECT_EQ(FormatError(refused, false),
            "error: open x: Permission denied\nfix: run it as the user whom this belongs to, or let this user in\n");
}

TEST_F(FilesTest, ADeadHolderIsNoHolder) {
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = DirectoryLock::Acquire(dir_.path());
    _exit(lock.ok() ? 0 : 1);  // without releasing it
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  EXPECT_OK(DirectoryLock::Acquire(dir_.path()));
}

}  // namespace
}  // namespace tributary
