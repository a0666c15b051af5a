#include "client/session/data_stamp.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace tributary::session {
namespace {

TEST(DataStampTest, NothingTouchedGivesTheSameStamp) {
  testing::TempDir dir;
  (void)dir.Write("data/cat/1.png", "cat");
  EXPECT_EQ(DataStamp(dir.File("data")), DataStamp(dir.File("data")));
  EXPECT_EQ(DataStamp("synthetic:100"), DataStamp("synthetic:100"));
}

TEST(DataStampTest, EachChangeOfAFolderShows) {
  testing::TempDir dir;
  const std::string first = dir.Write("data/cat/1.png", "cat");
  std::string before = DataStamp(dir.File("data"));
  const auto changed = [&] {
    const std::string now = DataStamp(dir.File("data"));
    return std::exchange(before, now) != now;
  };
  (void)dir.Write("data/dog/2.png", "dog");
  EXPECT_TRUE(changed()) << "a file more";
  (void)dir.Write("data/dog/2.png", "dig");
  EXPECT_TRUE(changed()) << "other bytes of the same size";
  std::filesystem::rename(dir.File("data/dog/2.png"), dir.File("data/cat/2.png"));
  EXPECT_TRUE(changed()) << "of another class";
  std::filesystem::remove(first);
  EXPECT_TRUE(changed()) << "a file less";
}

TEST(DataStampTest, ATimeThatWasSetBackDoesNotHideAChange) {
  testing::TempDir dir;
  const std::string path = dir.Write("data.csv", "a,b\n1,2\n");
  const std::string before = DataStamp(path);
  const auto time = std::filesystem::last_write_time(path);
  (void)dir.Write("data.csv", "a,b\n1,3\n");
  std::filesystem::last_write_time(path, time);
  EXPECT_NE(before, DataStamp(path));
}

TEST(DataStampTest, TheLabelsBesideAFileOfImagesCount) {
  testing::TempDir dir;
  const std::string images = dir.Write("train-images-idx3-ubyte", "images");
  (void)dir.Write("train-labels-idx1-ubyte", "labels");
  const std::string before = DataStamp(images);
  (void)dir.Write("notes.txt", "nothing of the data");
  EXPECT_EQ(before, DataStamp(images));
  (void)dir.Write("train-labels-idx1-ubyte", "other labels");
  EXPECT_NE(before, DataStamp(images));
}

TEST(DataStampTest, WhatIsGoneHasAStampOfItsOwn) {
  testing::TempDir dir;
  const std::string path = dir.Write("data.csv", "a,b\n1,2\n");
  const std::string there = DataStamp(path);
  std::filesystem::remove(path);
  EXPECT_NE(there, DataStamp(path));
  EXPECT_EQ(DataStamp(path), DataStamp(path));
}

}  // namespace
}  // namespace tributary::session
