#include "common/base/memory_limit.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>

#include "tests/support/temp_dir.h"

namespace tributary {
namespace {

class CgroupTest : public ::testing::Test {
 protected:
  uint64_t Limit() const { return CgroupMemoryBytes(dir_.File("cgroup"), dir_.File("root")); }

  const testing::TempDir dir_;
};

TEST_F(CgroupTest, TheSmallestLimitOnTheWayUpCounts) {
  dir_.Write("cgroup", "4:memory:/elsewhere\n0::/a/b\n");
  dir_.Write("root/a/b/memory.max", "max\n");
  EXPECT_EQ(std::numeric_limits<uint64_t>::max(), Limit());
  dir_.Write("root/a/memory.max", "5000\n");
  EXPECT_EQ(5000u, Limit());
  dir_.Write("root/memory.max", "4000\n");
  EXPECT_EQ(4000u, Limit());
  dir_.Write("root/a/b/memory.max", "3000\n");
  EXPECT_EQ(3000u, Limit());
}

TEST_F(CgroupTest, TheRootOfANamespaceCounts) {
  dir_.Write("cgroup", "0::/\n");
  dir_.Write("root/memory.max", "4000\n");
  EXPECT_EQ(4000u, Limit());
}

TEST_F(CgroupTest, WithoutFilesThereIsNoLimit) {
  EXPECT_EQ(std::numeric_limits<uint64_t>::max(), Limit());
  dir_.Write("cgroup", "4:memory:/elsewhere\n");
  EXPECT_EQ(std::numeric_limits<uint64_t>::max(), Limit());
  dir_.Write("cgroup", "0::/gone\n");
  EXPECT_EQ(std::numeric_limits<uint64_t>::max(), Limit());
}

TEST(MemoryLimitTest, IsAtMostTheMachines) {
  EXPECT_GT(MemoryLimitBytes(), uint64_t{1} << 20);
  EXPECT_LE(MemoryLimitBytes(), static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE));
}

}  // namespace
}  // namespace tributary
