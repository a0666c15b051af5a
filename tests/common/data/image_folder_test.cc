#include <filesystem>

#include "common/data/load.h"
#include "tests/common/data/sample_files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::data {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;
using testing::TempDir;
using ::testing::UnorderedElementsAre;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

std::string FlatPng(uint8_t value, size_t side = 4, size_t channels = 1) {
  return Png({side, side, channels, std::vector<uint8_t>(side * side * channels, value)});
}

class ImageFolderTest : public ::testing::Test {
 protected:
  absl::StatusOr<LoadResult> Load(LoadOptions options = {}) { return LoadData(dir_.path(), options); }
  const TempDir dir_;
};

TEST_F(ImageFolderTest, SubFoldersAreClasses) {
  dir_.Write("cat/1.png", FlatPng(10));
  dir_.Write("dog/a.PNG", FlatPng(20));
  dir_.Write("dog/deep/er/b.png", FlatPng(30));
  dir_.Write("dog/notes.txt", "not an image");
  dir_.Write("dog/.hidden.png", "not looked at");
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load());
  EXPECT_EQ(result.format, Format::kImages);
  EXPECT_THAT(result.dataset.classes, ElementsAre("cat", "dog"));
  EXPECT_THAT(result.dataset.labels, UnorderedElementsAre(0, 1, 1));
  EXPECT_EQ(result.dataset.height, 4u);
  EXPECT_EQ(result.dataset.channels, 1u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(result.dataset.pixels[i * 16] > 10, result.dataset.labels[i] == 1);
}

TEST_F(ImageFolderTest, DuplicatesAreTheSameWhateverSizeIsAskedFor) {
  // Two pictures that look the same at one pixel, and one of them twice.
  dir_.Write("cat/1.png", Png({2, 2, 1, {0, 200, 200, 0}}));
  dir_.Write("cat/2.png", Png({2, 2, 1, {200, 0, 0, 200}}));
  dir_.Write("dog/1.png", Png({2, 2, 1, {0, 200, 200, 0}}));
  for (const size_t side : {1, 2, 8}) {
    LoadOptions options{.height = side, .width = side, .channels = 1};
    EXPECT_EQ(Load(options)->report.duplicates.count, 1u) << side;
    options.duplicates = Duplicates::kSkip;
    EXPECT_EQ(Load(options)->dataset.count, 2u) << side;
  }
}

TEST_F(ImageFolderTest, FileNamePrefixesAreClasses) {
  dir_.Write("cat.12.png", FlatPng(10));
  dir_.Write("cat_13.png", FlatPng(11));
  dir_.Write("cat-14.png", FlatPng(12));
  dir_.Write("cat15.jpg", Jpeg({4, 4, 1, std::vector<uint8_t>(16, 13)}));
  dir_.Write("dog.1.jpeg", Jpeg({4, 4, 1, std::vector<uint8_t>(16, 20)}));
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load());
  EXPECT_THAT(result.dataset.classes, ElementsAre("cat", "dog"));
  EXPECT_THAT(result.report.per_class, ElementsAre(4, 1));
}

TEST_F(ImageFolderTest, NamesMapToTheRunsClasses) {
  dir_.Write("cat.1.png", FlatPng(10));
  dir_.Write("dog.1.png", FlatPng(20));
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load({.classes = {"dog", "cat"}}));
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(result.dataset.labels[i], result.dataset.pixels[i * 16] == 10 ? 1 : 0);
}

TEST_F(ImageFolderTest, UnknownClassIsRefusedByName) {
  dir_.Write("cat.1.png", FlatPng(10));
  dir_.Write("wolf.1.png", FlatPng(20));
  EXPECT_THAT(Load({.classes = {"cat", "dog"}}),
              StatusIs(kInvalid, AllOf(HasSubstr("unknown class wolf"), HasSubstr("wolf.1.png"))));
}

TEST_F(ImageFolderTest, FoldersOfDigitsKeepTheirNumbers) {
  dir_.Write("3/a.png", FlatPng(3));
  dir_.Write("7/a.png", FlatPng(7));
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load());
  EXPECT_THAT(result.dataset.classes, IsEmpty());
  EXPECT_THAT(result.dataset.labels, UnorderedElementsAre(3, 7));
  EXPECT_EQ(result.dataset.num_classes, 8u);
}

TEST_F(ImageFolderTest, DecodesToTheShapeAskedFor) {
  dir_.Write("cat/1.png", FlatPng(10, 9, 3));
  dir_.Write("dog/1.png", FlatPng(20, 2, 1));
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load({.height = 3, .width = 5, .channels = 3}));
  EXPECT_EQ(result.dataset.example_size(), 45u);
  EXPECT_EQ(result.dataset.pixels.size(), 90u);
  EXPECT_THAT(result.dataset.pixels, Each(::testing::AnyOf(10, 20)));
}

TEST_F(ImageFolderTest, WithoutAShapeTheFirstImageGivesIt) {
  dir_.Write("a/0.png", "broken");
  dir_.Write("a/1.png", FlatPng(10, 6, 3));
  dir_.Write("b/1.png", FlatPng(20, 9, 1));
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load());
  EXPECT_EQ(result.dataset.height, 6u);
  EXPECT_EQ(result.dataset.channels, 3u);
  EXPECT_EQ(result.dataset.count, 2u);
}

TEST_F(ImageFolderTest, FilesThatDoNotDecodeAreCountedAndNamed) {
  dir_.Write("cat/1.png", FlatPng(10));
  dir_.Write("cat/2.png", FlatPng(11).substr(0, 40));
  dir_.Write("dog/1.jpg", "hello");
  dir_.Write("dog/2.png", FlatPng(12));
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load());
  EXPECT_EQ(result.report.found, 4u);
  EXPECT_EQ(result.report.kept, 2u);
  EXPECT_EQ(result.report.undecodable.count, 2u);
  EXPECT_THAT(result.report.undecodable.names,
              UnorderedElementsAre(HasSubstr("cat/2.png (PNG: "), HasSubstr("dog/1.jpg (neither PNG nor JPEG)")));
  EXPECT_THAT(Load({.policy = Policy::kRefuse}), StatusIs(kInvalid, HasSubstr("2 do not decode")));
}

TEST_F(ImageFolderTest, DanglingLinksAreCounted) {
  dir_.Write("cat/1.png", FlatPng(10));
  std::filesystem::create_symlink("nowhere", dir_.File("cat/2.png"));
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load());
  EXPECT_EQ(result.report.undecodable.count, 1u);
}

TEST_F(ImageFolderTest, ALinkThatLeadsUpwardsEnds) {
  dir_.Write("cat/1.png", FlatPng(10));
  std::filesystem::create_directory_symlink("..", dir_.File("cat/up"));
  EXPECT_OK(Load());
}

TEST_F(ImageFolderTest, OrderDependsOnNamesAlone) {
  const TempDir other;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "cat." + std::to_string(i) + ".png";
    dir_.Write(name, FlatPng(static_cast<uint8_t>(i)));
    other.Write("cat." + std::to_string(19 - i) + ".png", FlatPng(static_cast<uint8_t>(19 - i)));
  }
  ASSERT_OK_AND_ASSIGN(const LoadResult here, Load());
  ASSERT_OK_AND_ASSIGN(const LoadResult there, LoadData(other.path(), {}));
  EXPECT_EQ(here.dataset.pixels, there.dataset.pixels);
  EXPECT_FALSE(std::is_sorted(here.dataset.pixels.begin(), here.dataset.pixels.end()));
}

TEST_F(ImageFolderTest, TrainAndTestFolders) {
  dir_.Write("train/cat/1.png", FlatPng(10));
  dir_.Write("train/dog/1.png", FlatPng(20));
  dir_.Write("test/cat/1.png", FlatPng(30));
  EXPECT_EQ(Load()->dataset.count, 2u);
  EXPECT_EQ(Load({.split = Split::kTest})->dataset.count, 1u);
}

TEST_F(ImageFolderTest, AClassMayBeCalledTrain) {
  dir_.Write("train/1.png", FlatPng(10));
  dir_.Write("plane/1.png", FlatPng(20));
  EXPECT_THAT(Load()->dataset.classes, ElementsAre("plane", "train"));
}

TEST_F(ImageFolderTest, EmptyOrBrokenFoldersAreRefused) {
  EXPECT_THAT(Load(), StatusIs(kInvalid, HasSubstr("holds no .png, .jpg or .jpeg files")));
  dir_.Write("cat/1.png", "x");
  EXPECT_THAT(Load(), StatusIs(kInvalid, AllOf(HasSubstr("no example can be used"), HasSubstr("cat/1.png"))));
}

TEST_F(ImageFolderTest, ImpossibleShapesAreRefused) {
  dir_.Write("cat/1.png", FlatPng(10));
  EXPECT_THAT(Load({.height = 2, .width = 2, .channels = 2}), StatusIs(kInvalid, HasSubstr("2x2x2")));
  EXPECT_THAT(Load({.regression = true}), StatusIs(kInvalid, HasSubstr("no targets")));
  EXPECT_THAT(Load({.height = 1000, .width = 1000, .channels = 3, .max_bytes = 1000}),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(DecodeImageFileTest, GivesOneExample) {
  const TempDir dir;
  ASSERT_OK_AND_ASSIGN(const Dataset one, DecodeImageFile(dir.Write("x.png", FlatPng(9, 8, 3)), 4, 4, 1));
  EXPECT_EQ(one.count, 1u);
  EXPECT_THAT(one.pixels, AllOf(::testing::SizeIs(16), Each(9)));
  EXPECT_THAT(DecodeImageFile(dir.Write("y.png", "hello"), 4, 4, 1), StatusIs(kInvalid, HasSubstr("y.png: neither")));
  EXPECT_THAT(DecodeImageFile(dir.File("z.png"), 4, 4, 1), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace tributary::data
