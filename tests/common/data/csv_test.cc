#include "common/data/csv_reader.h"
#include "common/data/load.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;
using testing::TempDir;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

// All rows, or the error.
absl::StatusOr<std::vector<std::vector<std::string>>> Rows(std::string_view text) {
  CsvReader reader(text);
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> row;
  for (;;) {
    TRB_ASSIGN_OR_RETURN(const bool any, reader.Next(&row));
    if (!any) return rows;
    rows.push_back(row);
  }
}

TEST(CsvReaderTest, ReadsQuotesAsRfc4180HasThem) {
  ASSERT_OK_AND_ASSIGN(const auto rows, Rows("a,\"b,c\",\"say \"\"hi\"\"\"\r\n\"two\nlines\",,x"));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_THAT(rows[0], ElementsAre("a", "b,c", "say \"hi\""));
  EXPECT_THAT(rows[1], ElementsAre("two\nlines", "", "x"));
}

TEST(CsvReaderTest, SkipsByteOrderMarkAndEmptyLines) {
  ASSERT_OK_AND_ASSIGN(const auto rows, Rows("\xEF\xBB\xBF"
                                             "a,b\n\n\r\nc,d\n"));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_THAT(rows[0], ElementsAre("a", "b"));
  EXPECT_THAT(rows[1], ElementsAre("c", "d"));
}

TEST(CsvReaderTest, KnowsSemicolonsAndTabs) {
  EXPECT_THAT(Rows("a;b,c;d").value()[0], ElementsAre("a", "b,c", "d"));
  EXPECT_THAT(Rows("a\tb").value()[0], ElementsAre("a", "b"));
}

// Each would take the memory of a whole string: a file of a gigabyte of commas that of the machine.
TEST(CsvReaderTest, AFileOfCommasIsRefused) {
  EXPECT_THAT(Rows("a,b\n" + std::string(5'000'000, ',')), StatusIs(kInvalid, HasSubstr("line 2: more than 4194304")));
}

TEST(CsvReaderTest, BrokenQuotesNameTheirLine) {
  EXPECT_THAT(Rows("a,b\nc,\"d\n"), StatusIs(kInvalid, "line 2: a quote is never closed"));
  EXPECT_THAT(Rows("a,\"b\"c\n"), StatusIs(kInvalid, "line 1: text after a closing quote"));
}

class CsvTest : public ::testing::Test {
 protected:
  absl::StatusOr<LoadResult> Load(std::string_view text, LoadOptions options = {}) {
    return LoadData(dir_.Write("data.csv", text), options);
  }
  const TempDir dir_;
};

TEST_F(CsvTest, HeaderIsSeenAndTheLabelColumnFoundByName) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load("label,x,y2\n1,0.5,-2\n0,+1e1,3\n"));
  EXPECT_THAT(result.dataset.features, ElementsAre(0.5f, -2.0f, 10.0f, 3.0f));
  EXPECT_THAT(result.dataset.labels, ElementsAre(1, 0));
  EXPECT_EQ(result.dataset.channels, 2u);
  EXPECT_EQ(result.dataset.example_size(), 2u);
  EXPECT_FALSE(result.dataset.is_images());
  EXPECT_EQ(result.format, Format::kCsv);
}

TEST_F(CsvTest, WithoutHeaderTheLastColumnIsTheLabel) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load("0.5,2,1\n1,3,0\n"));
  EXPECT_THAT(result.dataset.features, ElementsAre(0.5f, 2.0f, 1.0f, 3.0f));
  EXPECT_THAT(result.dataset.labels, ElementsAre(1, 0));
}

TEST_F(CsvTest, LabelColumnByIndexAndName) {
  EXPECT_THAT(Load("5,1,2\n6,3,4\n", {.label_column = "0"})->dataset.features, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Load("5,1,2\n6,3,4\n", {.label_column = "-1"})->dataset.labels, ElementsAre(2, 4));
  EXPECT_THAT(Load("a,b,c\n5,1,2\n6,3,4\n", {.label_column = "b"})->dataset.labels, ElementsAre(1, 3));
  EXPECT_THAT(Load("5,1\n", {.label_column = "2"}), StatusIs(kInvalid, HasSubstr("label column 2 of 2")));
  EXPECT_THAT(Load("a,b\n5,1\n", {.label_column = "z"}), StatusIs(kInvalid, HasSubstr("no column is called `z`")));
}

TEST_F(CsvTest, NamesBecomeClassesInSortedOrder) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load("1,dog\n2,cat\n3,dog\n"));
  EXPECT_THAT(result.dataset.classes, ElementsAre("cat", "dog"));
  EXPECT_THAT(result.dataset.labels, ElementsAre(1, 0, 1));
  EXPECT_THAT(result.report.per_class, ElementsAre(1, 2));
}

TEST_F(CsvTest, NamesMapToTheRunsClasses) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load("1,dog\n2,cat\n", {.classes = {"dog", "cow", "cat"}}));
  EXPECT_THAT(result.dataset.labels, ElementsAre(0, 2));
  EXPECT_EQ(result.dataset.num_classes, 3u);
  ASSERT_OK_AND_ASSIGN(const LoadResult numbers, Load("1,7\n2,3\n", {.classes = {"3", "7"}}));
  EXPECT_THAT(numbers.dataset.labels, ElementsAre(1, 0));
}

TEST_F(CsvTest, UnknownClassNameIsRefusedByName) {
  EXPECT_THAT(
      Load("1,dog\n2,wolf\n3,cat\n", {.classes = {"cat", "dog"}}),
      StatusIs(kInvalid, AllOf(HasSubstr("unknown class wolf"), HasSubstr("data.csv:2"), HasSubstr("cat, dog"))));
}

TEST_F(CsvTest, UnknownClassesCanBeLeftOut) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result,
                       Load("1,dog\n2,wolf\n3,cat\n", {.classes = {"cat", "dog"}, .unknown_classes = Policy::kSkip}));
  EXPECT_THAT(result.dataset.features, ElementsAre(1, 3));
  EXPECT_EQ(result.report.unknown_classes.count, 1u);
  EXPECT_THAT(result.report.unknown_class_names, ElementsAre("wolf"));
}

TEST_F(CsvTest, RaggedRowIsNamedWithItsLine) {
  EXPECT_THAT(Load("a,b,c\n1,2,0\n1,2\n"),
              StatusIs(kInvalid, dir_.File("data.csv") + ": line 3: 2 columns, expected 3"));
  EXPECT_THAT(Load("\"a\nb\",x,c\n1,2,0\n1,2,3,4\n"), StatusIs(kInvalid, HasSubstr("line 4: 4 columns")));
}

TEST_F(CsvTest, CellsThatAreNoNumbersAreNamed) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load("x,label\n1,0\nred,1\n,1\nnan,0\n1e99,0\n4,1\n"));
  EXPECT_THAT(result.dataset.features, ElementsAre(1, 4));
  EXPECT_EQ(result.report.undecodable.count, 4u);
  EXPECT_THAT(result.report.undecodable.names[0], HasSubstr("data.csv:3 (column x: `red` is not a number)"));
  EXPECT_THAT(Load("x,label\n1,0\nred,1\n", {.policy = Policy::kRefuse}),
              StatusIs(kInvalid, AllOf(HasSubstr("1 do not decode"), HasSubstr("data.csv:3"))));
}

TEST_F(CsvTest, LabelsThatAreNoClassNumbersAreOutOfRange) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load("1,0\n2,-1\n3,1.5\n4,2.0\n"));
  EXPECT_THAT(result.dataset.labels, ElementsAre(0, 2));
  EXPECT_EQ(result.report.label_out_of_range.count, 2u);
}

TEST_F(CsvTest, RegressionReadsTargets) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load("x,target\n1,2.5\n2,-3.5\n", {.regression = true}));
  EXPECT_THAT(result.dataset.targets, ElementsAre(2.5f, -3.5f));
  EXPECT_THAT(result.dataset.labels, IsEmpty());
  EXPECT_TRUE(result.dataset.is_regression());
  EXPECT_EQ(result.dataset.num_classes, 0u);
}

TEST_F(CsvTest, RowsOfBytesAreImagesWhereImagesAreAskedFor) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result,
                       Load("1,0,255,7,9\n0,1,2,3,4\n", {.height = 2, .width = 2, .channels = 1, .label_column = "0"}));
  EXPECT_TRUE(result.dataset.is_images());
  EXPECT_EQ(result.dataset.height, 2u);
  EXPECT_THAT(result.dataset.pixels, ElementsAre(0, 255, 7, 9, 1, 2, 3, 4));
}

TEST_F(CsvTest, FilesWithoutExamplesAreRefused) {
  EXPECT_THAT(Load(""), StatusIs(kInvalid, HasSubstr("the file is empty")));
  EXPECT_THAT(Load("1\n2\n"), StatusIs(kInvalid, HasSubstr("one column only")));
  EXPECT_THAT(Load("red,blue\n"), StatusIs(kInvalid, HasSubstr("no example can be used")));
}

TEST_F(CsvTest, TooLargeForItsLimitIsRefused) {
  EXPECT_THAT(Load("1,2,0\n3,4,1\n", {.max_bytes = 5}), StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace tributary::data
