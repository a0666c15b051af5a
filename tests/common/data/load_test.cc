#include "common/data/load.h"

#include <sys/stat.h>

#include "common/data/source.h"
#include "tests/common/data/sample_files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::data {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOkAndHolds;
using ::testing::Not;
using testing::StatusIs;
using testing::TempDir;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

TEST(FormatTest, NamesGoBothWays) {
  for (const Format format : {Format::kIdx, Format::kImages, Format::kCsv, Format::kNpz, Format::kSynthetic})
    EXPECT_THAT(ParseFormat(FormatName(format)), IsOkAndHolds(format));
  EXPECT_THAT(ParseFormat(""), IsOkAndHolds(Format::kGuess));
  EXPECT_THAT(ParseFormat("zip"), StatusIs(kInvalid, HasSubstr("idx, images, csv, npz or synthetic")));
}

TEST(LoadTest, AbsentPathIsNotFound) {
  EXPECT_THAT(LoadData("/nowhere/at/all", {}), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/at/all")));
  for (const Format format : {Format::kIdx, Format::kImages, Format::kCsv, Format::kNpz})
    EXPECT_THAT(LoadData("/nowhere", {.format = format}), StatusIs(absl::StatusCode::kNotFound)) << FormatName(format);
}

TEST(LoadTest, UnknownEndingsAskForTheFormat) {
  const TempDir dir;
  EXPECT_THAT(LoadData(dir.Write("data.bin", "x"), {}), StatusIs(kInvalid, HasSubstr("--format")));
  EXPECT_OK(LoadData(dir.Write("data.txt", "1,0\n2,1\n"), {.format = Format::kCsv}));
}

// Would be waited for without end, by a daemon that looks at its data again before each training.
TEST(LoadTest, APipeIsNoFileOfAnyFormat) {
  const TempDir dir;
  const std::string pipe = dir.File("train.csv");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const Format format : {Format::kCsv, Format::kNpz})
    EXPECT_THAT(LoadData(pipe, {.format = format}), StatusIs(kInvalid, HasSubstr("is not a regular file")));
  EXPECT_THAT(LoadData(dir.path(), {}), StatusIs(kInvalid, HasSubstr("is not a regular file")));
}

TEST(LoadTest, FoldersOfTablesHaveTrainAndTest) {
  const TempDir dir;
  dir.Write("train.csv", "1,0\n2,1\n");
  dir.Write("test.csv", "1,0\n");
  EXPECT_EQ(LoadData(dir.path(), {})->dataset.count, 2u);
  EXPECT_EQ(LoadData(dir.path(), {.split = Split::kTest})->dataset.count, 1u);
}

TEST(LoadTest, TheOnlyTableOfAFolderIsTaken) {
  const TempDir dir;
  dir.Write("birds.csv", "1,0\n2,1\n");
  EXPECT_OK(LoadData(dir.path(), {}));
  dir.Write("fish.csv", "1,0\n2,1\n");
  EXPECT_THAT(LoadData(dir.path(), {}), StatusIs(kInvalid, HasSubstr("holds 2 .csv files")));
}

class CleanTest : public ::testing::Test {
 protected:
  absl::StatusOr<LoadResult> Load(std::string_view csv, LoadOptions options = {}) {
    return LoadData(dir_.Write("d.csv", csv), options);
  }
  const TempDir dir_;
};

TEST_F(CleanTest, DuplicatesAreKeptAndCounted) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load("1,0\n2,1\n1,0\n1,1\n"));
  EXPECT_EQ(result.dataset.count, 4u);
  EXPECT_EQ(result.report.duplicates.count, 2u);
  EXPECT_THAT(result.report.duplicates.names, ElementsAre(dir_.File("d.csv:3"), dir_.File("d.csv:4")));
  EXPECT_FALSE(result.report.clean());
}

TEST_F(CleanTest, DuplicatesCanBeLeftOutOrRefused) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load("1,0\n2,1\n1,0\n", {.duplicates = Duplicates::kSkip}));
  EXPECT_THAT(result.dataset.features, ElementsAre(1, 2));
  EXPECT_EQ(result.report.found, 3u);
  EXPECT_EQ(result.report.kept, 2u);
  EXPECT_THAT(Load("1,0\n2,1\n1,0\n", {.duplicates = Duplicates::kRefuse}),
              StatusIs(kInvalid, HasSubstr("1 are exact duplicates")));
}

TEST_F(CleanTest, OneClassOnlyIsAWarning) {
  EXPECT_THAT(Load("1,0\n2,0\n")->report.warnings, ElementsAre("all examples have the same class"));
  EXPECT_THAT(Load("1,0\n2,1\n")->report.warnings, IsEmpty());
}

TEST_F(CleanTest, ATailWithoutAllClassesIsAWarning) {
  std::string sorted;
  for (int i = 0; i < 200; ++i) sorted += std::to_string(i) + (i < 150 ? ",0\n" : ",1\n");
  EXPECT_THAT(Load(sorted)->report.warnings, ElementsAre(HasSubstr("the last tenth lacks 1 of the classes")));
}

TEST_F(CleanTest, NamedExamplesAreFewAndCannotForgeLines) {
  std::string text = "0,0\n1,1\n";
  for (int i = 0; i < 50; ++i) text += "\"x\n\x1b[31m\",0\n";
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load(text));
  EXPECT_EQ(result.report.undecodable.count, 50u);
  EXPECT_EQ(result.report.undecodable.names.size(), Report::kMaxNamed);
  for (const std::string& line : result.report.Lines()) {
    EXPECT_THAT(line, Not(HasSubstr("\n")));
    EXPECT_THAT(line, Not(HasSubstr("\x1b")));
  }
  EXPECT_EQ(result.report.Lines()[0], "2 of 52 examples kept");
}

TEST_F(CleanTest, AbsurdLabelsTakeNoMemory) {
  EXPECT_THAT(Load("1,0\n2,2000000000\n"), StatusIs(kInvalid, HasSubstr("label 2000000000")));
}

TEST_F(CleanTest, NumberOfClassesIsAtLeastTheOneAskedFor) {
  EXPECT_EQ(Load("1,0\n2,1\n", {.num_classes = 10})->dataset.num_classes, 10u);
}

class MapClassesTest : public ::testing::Test {
 protected:
  Dataset Named() {
    Dataset d;
    d.count = 3;
    d.labels = {0, 1, 0};
    d.classes = {"cat", "dog"};
    d.num_classes = 2;
    return d;
  }
};

TEST_F(MapClassesTest, MovesLabelsByName) {
  Dataset d = Named();
  EXPECT_OK(MapClasses({"dog", "cow", "cat"}, &d));
  EXPECT_THAT(d.labels, ElementsAre(2, 0, 2));
  EXPECT_THAT(d.classes, ElementsAre("dog", "cow", "cat"));
  EXPECT_EQ(d.num_classes, 3u);
}

TEST_F(MapClassesTest, RefusesUnknownNamesAndChangesNothing) {
  Dataset d = Named();
  EXPECT_THAT(MapClasses({"dog"}, &d), StatusIs(kInvalid, HasSubstr("unknown class cat")));
  EXPECT_THAT(d.labels, ElementsAre(0, 1, 0));
  EXPECT_THAT(d.classes, ElementsAre("cat", "dog"));
}

TEST_F(MapClassesTest, IntegerLabelsKeepTheirNumber) {
  Dataset d = Named();
  d.classes.clear();
  EXPECT_OK(MapClasses({"a", "b"}, &d));
  EXPECT_THAT(d.labels, ElementsAre(0, 1, 0));
  EXPECT_THAT(d.classes, ElementsAre("a", "b"));
  d.classes.clear();
  EXPECT_THAT(MapClasses({"a"}, &d), StatusIs(kInvalid, HasSubstr("label 1")));
}

TEST(Hash64Test, DependsOnEveryByteAndTheLength) {
  const std::string a(20, 'a');
  for (size_t i = 0; i < a.size(); ++i) {
    std::string b = a;
    b[i] ^= 1;
    EXPECT_NE(Hash64(a.data(), a.size()), Hash64(b.data(), b.size()));
    EXPECT_NE(Hash64(a.data(), a.size()), Hash64(a.data(), i));
  }
  EXPECT_NE(Hash64(a.data(), 8, 1), Hash64(a.data(), 8, 2));
}

}  // namespace
}  // namespace tributary::data
