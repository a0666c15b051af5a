#include <cstdlib>
#include <numeric>

#include "common/data/load.h"
#include "tests/common/data/sample_files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StatusIs;
using testing::TempDir;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

class IdxTest : public ::testing::Test {
 protected:
  absl::StatusOr<LoadResult> Load(LoadOptions options = {}) { return LoadData(dir_.path(), options); }
  void Write(const std::string& images, const std::string& labels) {
    dir_.Write("train-images-idx3-ubyte", images);
    dir_.Write("train-labels-idx1-ubyte", labels);
  }
  const TempDir dir_;
};

TEST_F(IdxTest, ReadsAPlainPair) {
  Write(IdxImages(3, 2, 2), IdxLabels({7, 0, 3}));
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load());
  EXPECT_EQ(result.format, Format::kIdx);
  EXPECT_EQ(result.dataset.count, 3u);
  EXPECT_EQ(result.dataset.height, 2u);
  EXPECT_EQ(result.dataset.width, 2u);
  EXPECT_EQ(result.dataset.channels, 1u);
  EXPECT_THAT(result.dataset.pixels, ElementsAre(0, 1, 2, 3, 16, 17, 18, 19, 32, 33, 34, 35));
  EXPECT_THAT(result.dataset.labels, ElementsAre(7, 0, 3));
  EXPECT_EQ(result.dataset.num_classes, 8u);
  EXPECT_TRUE(result.report.clean());
}

class IdxNamesTest : public IdxTest, public ::testing::WithParamInterface<std::pair<const char*, const char*>> {};

TEST_P(IdxNamesTest, IsFoundByItsNames) {
  const auto [images, labels] = GetParam();
  const auto packed = [](const std::string& name, const std::string& bytes) {
    return name.ends_with(".gz") ? Gzip(bytes) : bytes;
  };
  dir_.Write(images, packed(images, IdxImages(2, 2, 2)));
  dir_.Write(labels, packed(labels, IdxLabels({1, 0})));
  EXPECT_OK(Load());
  EXPECT_OK(LoadData(dir_.File(images), {}));
}

INSTANTIATE_TEST_SUITE_P(Names, IdxNamesTest,
                         ::testing::Values(std::pair("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
                                           std::pair("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
                                           std::pair("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"),
                                           std::pair("images-idx3-ubyte", "labels-idx1-ubyte.gz")));

TEST_F(IdxTest, SplitChoosesBetweenTrainAndTest) {
  Write(IdxImages(3, 2, 2), IdxLabels({0, 1, 2}));
  dir_.Write("t10k-images-idx3-ubyte", IdxImages(2, 2, 2));
  dir_.Write("t10k-labels-idx1-ubyte", IdxLabels({0, 1}));
  ASSERT_OK_AND_ASSIGN(const LoadResult train, Load());
  EXPECT_EQ(train.dataset.count, 3u);
  ASSERT_OK_AND_ASSIGN(const LoadResult test, Load({.split = Split::kTest}));
  EXPECT_EQ(test.dataset.count, 2u);
}

TEST_F(IdxTest, TestFallsBackToWhatIsThere) {
  Write(IdxImages(3, 2, 2), IdxLabels({0, 1, 2}));
  ASSERT_OK_AND_ASSIGN(const LoadResult test, Load({.split = Split::kTest}));
  EXPECT_EQ(test.dataset.count, 3u);
}

TEST_F(IdxTest, WrongMagicIsNamedWithItsOffset) {
  Write("\x89PNGabcdefghijkl", IdxLabels({0}));
  EXPECT_THAT(Load(), StatusIs(kInvalid, dir_.File("train-images-idx3-ubyte") +
                                             ": bad magic 0x89504e47 at offset 0, expected 0x00000803"));
  Write(IdxImages(1, 2, 2), IdxImages(1, 2, 2));
  EXPECT_THAT(Load(),
              StatusIs(kInvalid, AllOf(HasSubstr("train-labels-idx1-ubyte"), HasSubstr("expected 0x00000801"))));
}

TEST_F(IdxTest, ShortFileIsNamedWithWhatIsMissing) {
  std::string images = IdxImages(3, 2, 2);
  images.resize(images.size() - 5);
  Write(images, IdxLabels({0, 1, 2}));
  EXPECT_THAT(Load(), StatusIs(kInvalid, AllOf(HasSubstr("train-images-idx3-ubyte: too short"),
                                               HasSubstr("offset 23, 5 bytes are missing"))));
  Write(Gzip(images), IdxLabels({0, 1, 2}));
  EXPECT_THAT(Load(), StatusIs(kInvalid, HasSubstr("5 bytes are missing")));
}

TEST_F(IdxTest, LongFileIsRefused) {
  Write(IdxImages(3, 2, 2) + "x", IdxLabels({0, 1, 2}));
  EXPECT_THAT(Load(), StatusIs(kInvalid, HasSubstr("longer than its header says; it should end at offset 28")));
}

TEST_F(IdxTest, CountsOfBothFilesMustAgree) {
  Write(IdxImages(3, 2, 2), IdxLabels({0, 1}));
  EXPECT_THAT(Load(), StatusIs(kInvalid, AllOf(HasSubstr("2 labels"), HasSubstr("3 images"))));
}

TEST_F(IdxTest, AHugeHeaderTakesNoMemory) {
  std::string images = IdxImages(1, 2, 2);
  images.replace(4, 4, "\x7f\xff\xff\xff");
  Write(images, IdxLabels({0}));
  EXPECT_THAT(Load({.max_bytes = uint64_t{1} << 50}), StatusIs(kInvalid, HasSubstr("too short")));
  Write(Gzip(images), IdxLabels({0}));
  EXPECT_THAT(Load({.max_bytes = uint64_t{1} << 50}), StatusIs(kInvalid, HasSubstr("compressed bytes can hold")));
  EXPECT_THAT(Load({.max_bytes = 1000}), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(IdxTest, DamagedGzipIsRefused) {
  std::string images = Gzip(IdxImages(3, 2, 2));
  images[images.size() - 6] ^= 1;  // its checksum
  Write(images, IdxLabels({0, 1, 2}));
  EXPECT_THAT(Load(), StatusIs(kInvalid, HasSubstr("damaged gzip")));
}

TEST_F(IdxTest, MissingFilesAreNotFound) {
  EXPECT_THAT(Load({.format = Format::kIdx}), StatusIs(absl::StatusCode::kNotFound, HasSubstr("no IDX images")));
  dir_.Write("train-images-idx3-ubyte", IdxImages(1, 2, 2));
  EXPECT_THAT(Load(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("labels are not beside it")));
}

TEST_F(IdxTest, AnotherSizeThanAskedForIsRefused) {
  Write(IdxImages(2, 2, 2), IdxLabels({0, 1}));
  EXPECT_THAT(Load({.height = 28, .width = 28, .channels = 1}),
              StatusIs(kInvalid, HasSubstr("examples are 2x2x1, expected 28x28x1")));
}

TEST_F(IdxTest, LabelsOutOfRangeAreLeftOutOrRefused) {
  Write(IdxImages(3, 2, 2), IdxLabels({0, 9, 1}));
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load({.num_classes = 2}));
  EXPECT_THAT(result.dataset.labels, ElementsAre(0, 1));
  EXPECT_EQ(result.report.label_out_of_range.count, 1u);
  EXPECT_THAT(result.report.label_out_of_range.names, ElementsAre(dir_.File("train-images-idx3-ubyte[1]")));
  EXPECT_THAT(Load({.num_classes = 2, .policy = Policy::kRefuse}), StatusIs(kInvalid, HasSubstr("label out of range")));
}

// The published data set, where TRIBUTARY_MNIST_DIR says that it is.
TEST(MnistTest, HasTheKnownMeanAndCounts) {
  const char* folder = std::getenv("TRIBUTARY_MNIST_DIR");
  if (folder == nullptr) GTEST_SKIP() << "TRIBUTARY_MNIST_DIR is not set";
  ASSERT_OK_AND_ASSIGN(const LoadResult train, LoadData(folder, {.height = 28, .width = 28, .channels = 1}));
  EXPECT_EQ(train.dataset.count, 60000u);
  const double sum = std::accumulate(train.dataset.pixels.begin(), train.dataset.pixels.end(), 0.0);
  EXPECT_NEAR(sum / 255 / static_cast<double>(train.dataset.pixels.size()), 0.1306605, 5e-8);
  EXPECT_THAT(train.report.per_class, ElementsAre(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949));
  ASSERT_OK_AND_ASSIGN(const LoadResult test, LoadData(folder, {.split = Split::kTest}));
  EXPECT_EQ(test.dataset.count, 10000u);
}

}  // namespace
}  // namespace tributary::data
