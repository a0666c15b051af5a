#include "common/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::data {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Dataset TwoPixelImages() {
  Dataset d;
  d.count = 3;
  d.height = 1;
  d.width = 2;
  d.pixels = {0, 255, 51, 102, 1, 2};
  d.labels = {0, 1, 1};
  d.num_classes = 2;
  d.classes = {"cat", "dog"};
  return d;
}

TEST(DatasetTest, SelectTakesExamplesInTheGivenOrder) {
  const std::vector<uint32_t> indices = {2, 0, 2};
  const Dataset d = TwoPixelImages().Select(indices);
  EXPECT_EQ(d.count, 3u);
  EXPECT_THAT(d.pixels, ElementsAre(1, 2, 0, 255, 1, 2));
  EXPECT_THAT(d.labels, ElementsAre(1, 0, 1));
  EXPECT_THAT(d.features, IsEmpty());
  EXPECT_THAT(d.classes, ElementsAre("cat", "dog"));
  EXPECT_EQ(d.num_classes, 2u);
}

TEST(DatasetTest, SelectOfNothingKeepsTheShape) {
  const Dataset d = TwoPixelImages().Select({});
  EXPECT_EQ(d.count, 0u);
  EXPECT_EQ(d.example_size(), 2u);
  EXPECT_TRUE(d.is_images());
}

TEST(FillBatchTest, BytesBecomeUnitFloats) {
  const std::vector<uint32_t> indices = {1, 0};
  const std::vector<float> mean = {0}, std = {1};
  std::vector<float> out(4);
  FillBatch(TwoPixelImages(), indices, mean, std, out.data());
  EXPECT_THAT(out, ElementsAre(51 / 255.0f, 102 / 255.0f, 0.0f, 1.0f));
}

TEST(FillBatchTest, EveryByteIsExactDivision) {
  Dataset d;
  d.count = 1;
  d.width = 256;
  for (int v = 0; v < 256; ++v) d.pixels.push_back(static_cast<uint8_t>(v));
  const std::vector<uint32_t> indices = {0};
  const std::vector<float> mean = {0}, std = {1};
  std::vector<float> out(256);
  FillBatch(d, indices, mean, std, out.data());
  for (int v = 0; v < 256; ++v) EXPECT_EQ(out[static_cast<size_t>(v)], static_cast<float>(v) / 255.0f);
}

TEST(FillBatchTest, MeanAndStdArePerChannel) {
  Dataset d = TwoPixelImages();
  d.width = 1;
  d.channels = 2;
  const std::vector<uint32_t> indices = {1};
  const std::vector<float> mean = {0.1f, 0.2f}, std = {0.5f, 2.0f};
  std::vector<float> out(2);
  FillBatch(d, indices, mean, std, out.data());
  EXPECT_THAT(out, ElementsAre((51 / 255.0f - 0.1f) / 0.5f, (102 / 255.0f - 0.2f) / 2.0f));
}

TEST(FillBatchTest, FeaturesAreNotDividedBy255) {
  Dataset d;
  d.count = 2;
  d.channels = 2;
  d.features = {1, 2, 3, 4};
  const std::vector<uint32_t> indices = {1};
  const std::vector<float> mean = {1, 0}, std = {2, 1};
  std::vector<float> out(2);
  FillBatch(d, indices, mean, std, out.data());
  EXPECT_THAT(out, ElementsAre(1.0f, 4.0f));
}

}  // namespace
}  // namespace tributary::data
