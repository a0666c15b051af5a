#include "common/base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace tributary {
namespace {

using ::testing::ElementsAre;

// Known answers of philox4x32-10 from Random123 (kat_vectors), the authors' own library.
TEST(PhiloxTest, PublishedVectors) {
  EXPECT_THAT(PhiloxBlock({0, 0, 0, 0}, {0, 0}), ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  constexpr uint32_t kOnes = 0xffffffffu;
  EXPECT_THAT(PhiloxBlock({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              ElementsAre(0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
  EXPECT_THAT(PhiloxBlock({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}),
              ElementsAre(0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u));
}

TEST(RngTest, DrawsItsBlocksInOrder) {
  Rng rng(uint64_t{7});
  const auto first = rng.BlockAt(0), second = rng.BlockAt(1);
  for (const uint32_t word : first) EXPECT_EQ(rng.NextU32(), word);
  EXPECT_EQ(rng.NextU64(), second[0] | (static_cast<uint64_t>(second[1]) << 32));
}

TEST(RngTest, BlockAtDoesNotMoveTheSequence) {
  Rng a(uint64_t{7}), b(uint64_t{7});
  a.NextU32();
  b.NextU32();
  a.BlockAt(1000);
  EXPECT_EQ(a.NextU64(), b.NextU64());
}

TEST(RngTest, EveryByteOfKeyAndStreamCounts) {
  std::set<uint64_t> seen;
  for (size_t i = 0; i < 16; ++i) {
    Seed seed{};
    seed[i] = 1;
    EXPECT_TRUE(seen.insert(Rng(seed).NextU64()).second) << i;
  }
  Seed low{};
  low[0] = 5;
  EXPECT_EQ(Rng(low).NextU64(), Rng(uint64_t{5}).NextU64());
}

TEST(RngTest, BelowIsUniform) {
  Rng rng(uint64_t{1});
  int counts[7] = {};
  for (int i = 0; i < 70000; ++i) ++counts[rng.Below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 400);
  EXPECT_EQ(rng.Below(1), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_LT(rng.Below((uint64_t{1} << 63) + 1), (uint64_t{1} << 63) + 1);
}

TEST(RngTest, UniformsStayInTheUnitInterval) {
  Rng rng(uint64_t{2});
  double sum = 0;
  for (int i = 0; i < 10000; ++i) {
    const float f = rng.UniformFloat();
    const double d = rng.UniformDouble();
    ASSERT_TRUE(f >= 0 && f < 1 && d >= 0 && d < 1);
    sum += f + d;
  }
  EXPECT_NEAR(sum / 20000, 0.5, 0.01);
}

TEST(RngTest, NormalHasMeanZeroAndVarianceOne) {
  Rng rng(uint64_t{3});
  double sum = 0, squares = 0;
  for (int i = 0; i < 20000; ++i) {
    const double x = rng.Normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / 20000, 0, 0.03);
  EXPECT_NEAR(squares / 20000, 1, 0.05);
}

TEST(ShuffleTest, PermutesAndRepeats) {
  std::vector<int> v(100), w;
  std::iota(v.begin(), v.end(), 0);
  w = v;
  const std::vector<int> sorted = v;
  Rng a(uint64_t{4}), b(uint64_t{4});
  Shuffle(&v, &a);
  Shuffle(&w, &b);
  EXPECT_EQ(v, w);
  EXPECT_NE(v, sorted);
  std::sort(v.begin(), v.end());
  EXPECT_EQ(v, sorted);
}

TEST(ShuffleTest, EveryOrderComesAboutEquallyOften) {
  Rng rng(uint64_t{5});
  std::map<std::vector<int>, int> seen;
  for (int i = 0; i < 6000; ++i) {
    std::vector<int> v = {0, 1, 2};
    Shuffle(&v, &rng);
    ++seen[v];
  }
  EXPECT_EQ(seen.size(), 6u);
  for (const auto& [order, count] : seen) EXPECT_NEAR(count, 1000, 150);
}

}  // namespace
}  // namespace tributary
