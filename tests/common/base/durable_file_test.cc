#include "common/base/durable_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary {
namespace {

using testing::IsOkAndHolds;
using testing::StatusIs;
using testing::TempDir;

size_t FilesIn(const std::string& directory) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

TEST(DurableFileTest, IsThereWholeOnceCommitted) {
  TempDir dir;
  const std::string path = dir.File("proof");
  ASSERT_OK_AND_ASSIGN(const auto file, DurableFile::Create(path));
  ASSERT_OK(file->Write("one, "));
  EXPECT_FALSE(FileExists(path));
  ASSERT_OK(file->Write("two"));
  EXPECT_THAT(ReadFile(file->temporary()), IsOkAndHolds("one, two"));
  ASSERT_OK(file->Commit());
  EXPECT_THAT(ReadFile(path), IsOkAndHolds("one, two"));
  EXPECT_EQ(FilesIn(dir.path()), 1u);
}

TEST(DurableFileTest, LeavesTheOldFileAndNothingElseWhenGivenUp) {
  TempDir dir;
  const std::string path = dir.File("proof");
  ASSERT_OK(WriteFileDurably(path, "old"));
  {
    ASSERT_OK_AND_ASSIGN(const auto file, DurableFile::Create(path));
    ASSERT_OK(file->Write("half"));
  }
  EXPECT_THAT(ReadFile(path), IsOkAndHolds("old"));
  EXPECT_EQ(FilesIn(dir.path()), 1u);
}

TEST(DurableFileTest, FollowsNoLinkThatLiesInItsWay) {
  TempDir dir;
  ASSERT_OK(WriteFileDurably(dir.File("victim"), "mine"));
  ASSERT_OK_AND_ASSIGN(const auto probe, DurableFile::Create(dir.File("proof")));
  // The names count up, so somebody who sees one can guess the next.
  const size_t dash = probe->temporary().rfind('-');
  const std::string next =
      absl::StrCat(probe->temporary().substr(0, dash + 1), std::stoull(probe->temporary().substr(dash + 1)) + 1);
  std::filesystem::create_symlink(dir.File("victim"), next);
  EXPECT_FALSE(DurableFile::Create(dir.File("proof")).ok());
  EXPECT_THAT(ReadFile(dir.File("victim")), IsOkAndHolds("mine"));
}

TEST(DurableFileTest, WhatAKilledOneLeavesIsSweptAtTheNextStart) {
  TempDir dir;
  ASSERT_OK_AND_ASSIGN(const auto file, DurableFile::Create(dir.File("proof")));
  ASSERT_OK(SweepTemporaries(dir.path()));
  EXPECT_EQ(FilesIn(dir.path()), 0u);
}

TEST(DurableFileTest, AFolderThatIsNotThereIsNamed) {
  TempDir dir;
  EXPECT_THAT(DurableFile::Create(dir.File("no/such/proof")), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace tributary
