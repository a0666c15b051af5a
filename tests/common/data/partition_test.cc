#include "common/data/partition.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "tests/support/status_matchers.h"

namespace tributary::data {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StatusIs;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<int32_t> Labels(size_t count, int classes) {
  std::vector<int32_t> labels(count);
  for (size_t i = 0; i < count; ++i) labels[i] = static_cast<int32_t>(i * 7 % static_cast<size_t>(classes));
  return labels;
}

std::vector<size_t> Sizes(const Parts& parts) {
  std::vector<size_t> sizes;
  for (const auto& part : parts) sizes.push_back(part.size());
  return sizes;
}

size_t ClassesIn(const std::vector<uint32_t>& part, const std::vector<int32_t>& labels) {
  std::set<int32_t> seen;
  for (const uint32_t i : part) seen.insert(labels[i]);
  return seen.size();
}

class EveryPartitionTest : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryPartitionTest, PutsEachExampleIntoExactlyOnePart) {
  const auto labels = Labels(1003, 10);
  ASSERT_OK_AND_ASSIGN(const Parts parts, Partition(labels, 10, GetParam(), 7, 5));
  ASSERT_EQ(parts.size(), 7u);
  std::vector<uint32_t> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  std::vector<uint32_t> want(1003);
  std::iota(want.begin(), want.end(), 0u);
  EXPECT_EQ(all, want);
}

TEST_P(EveryPartitionTest, RepeatsWithItsSeedOnly) {
  const auto labels = Labels(1000, 10);
  ASSERT_OK_AND_ASSIGN(const Parts first, Partition(labels, 10, GetParam(), 7, 5));
  ASSERT_OK_AND_ASSIGN(const Parts again, Partition(labels, 10, GetParam(), 7, 5));
  ASSERT_OK_AND_ASSIGN(const Parts other, Partition(labels, 10, GetParam(), 7, 6));
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
}

INSTANTIATE_TEST_SUITE_P(Specs, EveryPartitionTest,
                         ::testing::Values("iid", "shards:2", "shards:3", "dirichlet:0.1", "dirichlet:100"));

TEST(PartitionTest, IidSizesAreThoseOfArraySplit) {
  ASSERT_OK_AND_ASSIGN(const Parts parts, Partition(Labels(10, 2), 2, "iid", 4, 1));
  EXPECT_THAT(Sizes(parts), ElementsAre(3, 3, 2, 2));
}

TEST(PartitionTest, ShardsLeaveFewClassesToEachPart) {
  const auto labels = Labels(6000, 10);
  ASSERT_OK_AND_ASSIGN(const Parts parts, Partition(labels, 10, "shards:2", 10, 1));
  EXPECT_THAT(Sizes(parts), Each(600u));
  for (const auto& part : parts) EXPECT_LE(ClassesIn(part, labels), 2u);
}

TEST(PartitionTest, DirichletSkewsWithItsParameter) {
  const auto labels = Labels(10000, 10);
  ASSERT_OK_AND_ASSIGN(const Parts even, Partition(labels, 10, "dirichlet:10000", 10, 1));
  for (const size_t size : Sizes(even)) EXPECT_NEAR(static_cast<double>(size), 1000, 60);
  ASSERT_OK_AND_ASSIGN(const Parts skewed, Partition(labels, 10, "dirichlet:0.01", 10, 1));
  size_t classes = 0;
  for (const auto& part : skewed) classes += ClassesIn(part, labels);
  EXPECT_LE(classes, 20u) << "nearly every class should be at one part";
}

TEST(PartitionTest, MayLeaveDirichletPartsEmpty) {
  ASSERT_OK_AND_ASSIGN(const Parts parts, Partition(Labels(3, 2), 2, "dirichlet:1", 10, 1));
  EXPECT_EQ(parts.size(), 10u);
}

TEST(PartitionTest, RefusesWhatCannotBe) {
  const auto labels = Labels(10, 2);
  EXPECT_THAT(Partition(labels, 2, "iid", 0, 1), StatusIs(kInvalid, HasSubstr("0 parts")));
  EXPECT_THAT(Partition(labels, 2, "iid", 11, 1), StatusIs(kInvalid, HasSubstr("10 examples")));
  EXPECT_THAT(Partition(labels, 2, "shards:2", 6, 1), StatusIs(kInvalid, HasSubstr("12 pieces")));
  EXPECT_THAT(Partition(labels, 1, "iid", 2, 1), StatusIs(kInvalid, HasSubstr("label 1")));
  const std::vector<int32_t> negative = {0, -1};
  EXPECT_THAT(Partition(negative, 2, "iid", 1, 1), StatusIs(kInvalid, HasSubstr("label -1")));
}

TEST(PartitionTest, RefusesUnknownSpecs) {
  for (const char* spec : {"", "IID", "shards", "shards:", "shards:0", "shards:-1", "shards:2000", "shards:x",
                           "dirichlet:0", "dirichlet:nan", "dirichlet:-1", "dirichlet:inf", "random"}) {
    EXPECT_THAT(CheckPartitionSpec(spec), StatusIs(kInvalid, HasSubstr("iid, shards:K"))) << spec;
  }
  EXPECT_OK(CheckPartitionSpec("iid"));
  EXPECT_OK(CheckPartitionSpec("shards:2"));
  EXPECT_OK(CheckPartitionSpec("dirichlet:0.5"));
}

TEST(ParsePartTest, CountsFromOne) {
  ASSERT_OK_AND_ASSIGN(const PartNumber part, ParsePart("3/10"));
  EXPECT_EQ(part.index, 3u);
  EXPECT_EQ(part.count, 10u);
  for (const char* text : {"", "3", "0/10", "11/10", "a/b", "3/", "/10", "-1/2", "1/2/3", " 1/2", "1/9999999"}) {
    EXPECT_THAT(ParsePart(text), StatusIs(kInvalid, HasSubstr("I/K"))) << text;
  }
}

}  // namespace
}  // namespace tributary::data
