#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>

#include "common/base/files.h"
#include "tests/support/status_matchers.h"

namespace tributary::testing {
namespace {

TEST(TempDirTest, HoldsFilesAndVanishes) {
  std::string file;
  {
    const TempDir dir;
    file = dir.Write("a/b.txt", "hello");
    EXPECT_EQ(file, dir.File("a/b.txt"));
    EXPECT_THAT(ReadFile(file), IsOkAndHolds("hello"));
    EXPECT_OK(RequirePrivate(dir.path()));
  }
  EXPECT_FALSE(FileExists(file));
}

TEST(TempDirTest, TwoAreDifferent) { EXPECT_NE(TempDir().path(), TempDir().path()); }

}  // namespace
}  // namespace tributary::testing
