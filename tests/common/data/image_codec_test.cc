#include "common/data/image_codec.h"

#include "common/data/image_resize.h"
#include "tests/common/data/sample_files.h"
#include "tests/support/status_matchers.h"

namespace tributary::data {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using testing::StatusIs;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

// 2 x 2: red, green / blue, white.
const Image kColours = {2, 2, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255}};

TEST(PngTest, GivesBackWhatWasWritten) {
  ASSERT_OK_AND_ASSIGN(const Image image, DecodeImage(Png(kColours), 0));
  EXPECT_EQ(image.height, 2u);
  EXPECT_EQ(image.width, 2u);
  EXPECT_EQ(image.channels, 3u);
  EXPECT_THAT(image.pixels, ElementsAreArray(kColours.pixels));
}

TEST(PngTest, GrayIsWeighedAsOpenCvDoes) {
  ASSERT_OK_AND_ASSIGN(const Image image, DecodeImage(Png(kColours), 1));
  EXPECT_THAT(image.pixels, ElementsAre(76, 150, 29, 255));  // cv2.cvtColor(..., COLOR_RGB2GRAY) of the same
}

TEST(PngTest, GrayBecomesColourByRepeating) {
  ASSERT_OK_AND_ASSIGN(const Image image, DecodeImage(Png({1, 2, 1, {7, 9}}), 3));
  EXPECT_THAT(image.pixels, ElementsAre(7, 7, 7, 9, 9, 9));
}

TEST(PngTest, AlphaIsDropped) {
  ASSERT_OK_AND_ASSIGN(const Image rgba, DecodeImage(Png({1, 2, 4, {1, 2, 3, 0, 4, 5, 6, 255}}), 0));
  EXPECT_THAT(rgba.pixels, ElementsAre(1, 2, 3, 4, 5, 6));
  ASSERT_OK_AND_ASSIGN(const Image gray, DecodeImage(Png({1, 2, 2, {8, 0, 9, 128}}), 0));
  EXPECT_EQ(gray.channels, 1u);
  EXPECT_THAT(gray.pixels, ElementsAre(8, 9));
}

TEST(PngTest, SixteenBitsKeepTheHighByte) {
  ASSERT_OK_AND_ASSIGN(const Image image, DecodeImage(Png({1, 3, 1, {0, 100, 255}}, 16), 0));
  EXPECT_THAT(image.pixels, ElementsAre(0, 100, 255));
}

TEST(PngTest, CutShortIsRefusedWithTheOffset) {
  const std::string bytes = Png(kColours);
  EXPECT_THAT(DecodeImage(std::string_view(bytes).substr(0, bytes.size() - 20), 0),
              StatusIs(kInvalid, HasSubstr("PNG: cut short (at offset ")));
}

TEST(PngTest, HugeDimensionsAreRefusedBeforeMemoryIsTaken) {
  Image flat{1, 1, 1, {0}};
  std::string bytes = Png(flat);
  bytes.replace(16, 4, std::string("\x7f\xff\xff\xff", 4));
  EXPECT_FALSE(DecodeImage(bytes, 0).ok());
}

TEST(JpegTest, GivesBackNearlyWhatWasWritten) {
  Image image{16, 16, 3, std::vector<uint8_t>(16 * 16 * 3, 100)};
  ASSERT_OK_AND_ASSIGN(const Image back, DecodeImage(Jpeg(image), 0));
  EXPECT_EQ(back.channels, 3u);
  EXPECT_EQ(back.height, 16u);
  EXPECT_THAT(back.pixels, Each(::testing::AllOf(::testing::Ge(99), ::testing::Le(101))));
  ASSERT_OK_AND_ASSIGN(const Image gray, DecodeImage(Jpeg(image), 1));
  EXPECT_EQ(gray.pixels.size(), 256u);
  EXPECT_THAT(gray.pixels, Each(100));
}

TEST(JpegTest, GrayStaysGrayUnlessColourIsAskedFor) {
  const std::string bytes = Jpeg({8, 8, 1, std::vector<uint8_t>(64, 50)});
  EXPECT_EQ(DecodeImage(bytes, 0)->channels, 1u);
  EXPECT_THAT(DecodeImage(bytes, 3)->pixels, ::testing::AllOf(::testing::SizeIs(192), Each(50)));
}

TEST(JpegTest, CmykBecomesColour) {
  const std::string bytes = Jpeg({8, 8, 4, std::vector<uint8_t>(256, 255)});  // no ink
  ASSERT_OK_AND_ASSIGN(const Image image, DecodeImage(bytes, 0));
  EXPECT_EQ(image.channels, 3u);
  EXPECT_THAT(image.pixels, Each(255));
}

TEST(JpegTest, CutShortIsRefused) {
  const std::string bytes = Jpeg({32, 32, 1, std::vector<uint8_t>(1024, 50)});
  EXPECT_THAT(DecodeImage(std::string_view(bytes).substr(0, bytes.size() / 2), 0),
              StatusIs(kInvalid, HasSubstr("JPEG")));
}

TEST(DecodeImageTest, OtherBytesAreRefused) {
  EXPECT_THAT(DecodeImage("GIF89a", 0), StatusIs(kInvalid, "neither PNG nor JPEG"));
  EXPECT_THAT(DecodeImage("", 0), StatusIs(kInvalid));
  EXPECT_THAT(DecodeImage(Png(kColours), 2), StatusIs(kInvalid, HasSubstr("1 or 3 channels")));
}

TEST(CheckImageSizeTest, BoundsSidesAndArea) {
  EXPECT_OK(CheckImageSize(8192, 8192));
  EXPECT_THAT(CheckImageSize(0, 1), StatusIs(kInvalid));
  EXPECT_THAT(CheckImageSize(16385, 1), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(CheckImageSize(16384, 16384), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(ResizeTest, ShrinkingByAWholeNumberAverages) {
  const Image in = {2, 4, 1, {0, 10, 20, 30, 20, 30, 40, 51}};
  const Image out = Resize(in, 1, 2);
  EXPECT_EQ(out.width, 2u);
  EXPECT_THAT(out.pixels, ElementsAre(15, 35));
}

TEST(ResizeTest, ShrinkingByAFractionWeighsByCover) {
  EXPECT_THAT(Resize({1, 3, 1, {0, 90, 240}}, 1, 2).pixels, ElementsAre(30, 190));
}

TEST(ResizeTest, EnlargingIsBilinearWithCentresAtOneHalf) {
  EXPECT_THAT(Resize({1, 2, 1, {0, 100}}, 1, 4).pixels, ElementsAre(0, 25, 75, 100));
  EXPECT_THAT(Resize({2, 1, 1, {0, 100}}, 4, 1).pixels, ElementsAre(0, 25, 75, 100));
}

TEST(ResizeTest, ChannelsStayApart) {
  EXPECT_THAT(Resize({1, 2, 3, {0, 50, 100, 20, 70, 200}}, 1, 1).pixels, ElementsAre(10, 60, 150));
}

TEST(ResizeTest, FlatImagesStayFlatAtEverySize) {
  for (size_t side = 1; side <= 40; ++side) {
    const Image out = Resize({17, 13, 1, std::vector<uint8_t>(17 * 13, 200)}, side, 41 - side);
    ASSERT_EQ(out.pixels.size(), side * (41 - side));
    EXPECT_THAT(out.pixels, Each(200)) << side;
  }
}

}  // namespace
}  // namespace tributary::data
