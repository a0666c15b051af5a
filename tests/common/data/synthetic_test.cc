#include "common/data/synthetic.h"

#include <array>
#include <set>

#include "tests/support/status_matchers.h"

namespace tributary::data {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::StatusIs;

constexpr size_t kSize = kDigitSide * kDigitSide;

TEST(SyntheticTest, SpecHasDefaults) {
  EXPECT_EQ(ParseSyntheticSpec("synthetic")->count, 6000u);
  EXPECT_EQ(ParseSyntheticSpec("synthetic:50")->count, 50u);
  EXPECT_EQ(ParseSyntheticSpec("synthetic:50:9")->seed, 9u);
  for (const char* text : {"", "synthetic:", "synthetic:0", "synthetic:-5", "synthetic:5:", "synthetic:5:6:7",
                           "synthetic:99999999999", "digits"}) {
    EXPECT_THAT(ParseSyntheticSpec(text), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("synthetic:COUNT")))
        << text;
  }
}

TEST(SyntheticTest, LoadsTenClassesOfImages) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, LoadData("synthetic:1000", {}));
  EXPECT_EQ(result.format, Format::kSynthetic);
  EXPECT_EQ(result.dataset.count, 1000u);
  EXPECT_EQ(result.dataset.height, 28u);
  EXPECT_EQ(result.dataset.num_classes, 10u);
  EXPECT_THAT(result.report.per_class, AllOf(SizeIs(10), Each(Ge(60u))));
  EXPECT_TRUE(result.report.clean());
}

TEST(SyntheticTest, RepeatsForSeedAndIndex) {
  std::array<uint8_t, kSize> a, b;
  EXPECT_EQ(DrawDigit(1, Split::kTrain, 7, a.data()), DrawDigit(1, Split::kTrain, 7, b.data()));
  EXPECT_EQ(a, b);
}

TEST(SyntheticTest, SeedsSplitsAndIndicesDiffer) {
  std::set<std::array<uint8_t, kSize>> seen;
  std::array<uint8_t, kSize> image;
  for (uint64_t seed : {1, 2}) {
    for (const Split split : {Split::kTrain, Split::kTest}) {
      for (uint64_t i = 0; i < 50; ++i) {
        DrawDigit(seed, split, i, image.data());
        EXPECT_TRUE(seen.insert(image).second);
      }
    }
  }
}

// A pinned digest: models trained on these digits are compared across machines and versions.
TEST(SyntheticTest, BytesAreTheSameEverywhere) {
  uint64_t sum = 0;
  std::array<uint8_t, kSize> image;
  for (uint64_t i = 0; i < 100; ++i) {
    const int digit = DrawDigit(1, Split::kTrain, i, image.data());
    for (const uint8_t byte : image) sum = (sum ^ byte) * 0x100000001B3u;
    sum += static_cast<uint64_t>(digit);
  }
  EXPECT_EQ(sum, 6891430138121910881u);
}

TEST(SyntheticTest, InkIsInTheMiddle) {
  std::array<uint8_t, kSize> image;
  for (uint64_t i = 0; i < 200; ++i) {
    DrawDigit(3, Split::kTrain, i, image.data());
    unsigned middle = 0;
    for (size_t y = 7; y < 21; ++y) {
      for (size_t x = 7; x < 21; ++x) middle += image[y * kDigitSide + x] > 100;
    }
    EXPECT_GE(middle, 8u) << i;
  }
}

TEST(SyntheticTest, TooManyForItsLimitIsRefused) {
  EXPECT_THAT(LoadData("synthetic:1000", {.max_bytes = 1000}), StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace tributary::data
