#include <limits>

#include "common/base/bytes.h"
#include "common/data/load.h"
#include "common/data/npy.h"
#include "common/data/zip_archive.h"
#include "tests/common/data/sample_files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::StatusIs;
using testing::TempDir;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ZipArchiveTest, ReadsStoredAndDeflatedMembers) {
  for (const bool deflate : {false, true}) {
    const std::string bytes = Zip({{"a", "hello"}, {"b/c", std::string(1000, 'x')}, {"empty", ""}}, deflate);
    ASSERT_OK_AND_ASSIGN(const ZipArchive zip, ZipArchive::Open(bytes));
    EXPECT_THAT(zip.Read("a", 100), IsOkAndHolds("hello"));
    EXPECT_THAT(zip.Read("b/c", 1000), IsOkAndHolds(std::string(1000, 'x')));
    EXPECT_THAT(zip.Read("empty", 0), IsOkAndHolds(""));
    EXPECT_THAT(zip.Read("b/c", 999), StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(zip.Read("d", 1), StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST(ZipArchiveTest, DamageIsRefused) {
  std::string bytes = Zip({{"a", "hello"}}, false);
  EXPECT_THAT(ZipArchive::Open("hello"), StatusIs(kInvalid, HasSubstr("no end record")));
  EXPECT_THAT(ZipArchive::Open(std::string_view(bytes).substr(0, bytes.size() - 1)), StatusIs(kInvalid));
  bytes[31] ^= 1;  // the first letter
  EXPECT_THAT(ZipArchive::Open(bytes)->Read("a", 100), StatusIs(kInvalid, HasSubstr("wrong checksum")));
}

TEST(ZipArchiveTest, ImpossibleSizeTakesNoMemory) {
  std::string bytes = Zip({{"a", "hello"}}, true);
  const size_t entry = bytes.find("PK\x01\x02");
  bytes.replace(entry + 24, 4, std::string("\xff\xff\xff\x7f", 4));
  EXPECT_THAT(ZipArchive::Open(bytes)->Read("a", uint64_t{1} << 40), StatusIs(kInvalid, HasSubstr("impossible size")));
}

TEST(NpyTest, ReadsEveryNumberType) {
  const auto at1 = [](std::string_view descr, const std::string& bytes) {
    const std::string text = Npy(descr, "(2,)", bytes);
    const absl::StatusOr<NpyArray> array = ParseNpy(text);
    return array.ok() ? array->At(1) : -999;
  };
  EXPECT_EQ(at1("|u1", BytesOf<uint8_t>({1, 200})), 200);
  EXPECT_EQ(at1("|i1", BytesOf<int8_t>({1, -2})), -2);
  EXPECT_EQ(at1("|b1", BytesOf<uint8_t>({0, 1})), 1);
  EXPECT_EQ(at1("<u2", BytesOf<uint16_t>({1, 60000})), 60000);
  EXPECT_EQ(at1("<i2", BytesOf<int16_t>({1, -300})), -300);
  EXPECT_EQ(at1("<u4", BytesOf<uint32_t>({1, 4000000000u})), 4000000000.0);
  EXPECT_EQ(at1("<i4", BytesOf<int32_t>({1, -70000})), -70000);
  EXPECT_EQ(at1("<i8", BytesOf<int64_t>({1, -5})), -5);
  EXPECT_EQ(at1("<u8", BytesOf<uint64_t>({1, 5})), 5);
  EXPECT_EQ(at1("<f4", BytesOf<float>({1, 0.5f})), 0.5);
  EXPECT_EQ(at1("<f8", BytesOf<double>({1, -0.25})), -0.25);
}

TEST(NpyTest, RefusesWhatItCannotRead) {
  const std::string two = BytesOf<float>({1, 2});
  EXPECT_THAT(ParseNpy("nonsense"), StatusIs(kInvalid, HasSubstr("magic at offset 0")));
  EXPECT_THAT(ParseNpy(Npy(">f4", "(2,)", two)), StatusIs(kInvalid, HasSubstr("element type")));
  EXPECT_THAT(ParseNpy(Npy("|O", "(2,)", two)), StatusIs(kInvalid, HasSubstr("element type")));
  EXPECT_THAT(ParseNpy(Npy("<f2", "(2,)", two)), StatusIs(kInvalid, HasSubstr("element type")));
  EXPECT_THAT(ParseNpy(Npy("<f4", "(3,)", two)), StatusIs(kInvalid, HasSubstr("8 bytes of elements, expected 12")));
  EXPECT_THAT(ParseNpy(Npy("<f4", "(-2,)", two)), StatusIs(kInvalid, HasSubstr("unusable shape")));
  // Sides whose product wraps to 0, as no bytes at all would have it; and the same behind a 0.
  EXPECT_THAT(ParseNpy(Npy("<f4", "(4, 2147483648, 2147483648)", "")), StatusIs(kInvalid, HasSubstr("so large")));
  EXPECT_THAT(ParseNpy(Npy("<f4", "(0, 2147483648, 2147483648)", "")), StatusIs(kInvalid, HasSubstr("so large")));
  EXPECT_THAT(ParseNpy(Npy("<f4", "(4294967296, 4294967296)", two)), StatusIs(kInvalid));
  EXPECT_THAT(ParseNpy(Npy("<f4", "2", two)), StatusIs(kInvalid, HasSubstr("no shape")));
  EXPECT_THAT(ParseNpy(Npy("<f4", "(1, 2)", two, true)), StatusIs(kInvalid, HasSubstr("Fortran order")));
}

class NpzTest : public ::testing::Test {
 protected:
  absl::StatusOr<LoadResult> Load(const std::string& x, const std::string& y, LoadOptions options = {}) {
    return LoadData(dir_.Write("data.npz", Zip({{"x.npy", x}, {"y.npy", y}}, true)), options);
  }
  const TempDir dir_;
  const std::string labels_ = Npy("<i8", "(2,)", BytesOf<int64_t>({1, 0}));
};

TEST_F(NpzTest, BytesAreImages) {
  ASSERT_OK_AND_ASSIGN(const LoadResult gray, Load(Npy("|u1", "(2, 1, 2)", BytesOf<uint8_t>({1, 2, 3, 4})), labels_));
  EXPECT_THAT(gray.dataset.pixels, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(gray.dataset.width, 2u);
  EXPECT_EQ(gray.dataset.channels, 1u);
  EXPECT_THAT(gray.dataset.labels, ElementsAre(1, 0));
  ASSERT_OK_AND_ASSIGN(const LoadResult colour,
                       Load(Npy("|u1", "(2, 1, 1, 3)", BytesOf<uint8_t>({1, 2, 3, 4, 5, 6})), labels_));
  EXPECT_EQ(colour.dataset.channels, 3u);
}

TEST_F(NpzTest, OtherNumbersAreFeatures) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load(Npy("<f8", "(2, 2)", BytesOf<double>({0.5, 1, 2, 3})), labels_));
  EXPECT_THAT(result.dataset.features, ElementsAre(0.5f, 1, 2, 3));
  EXPECT_EQ(result.dataset.channels, 2u);
}

TEST_F(NpzTest, RowsTakeTheShapeAskedFor) {
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load(Npy("|u1", "(2, 4)", BytesOf<uint8_t>({1, 2, 3, 4, 5, 6, 7, 8})),
                                                     labels_, {.height = 2, .width = 2, .channels = 1}));
  EXPECT_EQ(result.dataset.height, 2u);
  EXPECT_EQ(result.dataset.channels, 1u);
}

TEST_F(NpzTest, FloatTargetsForRegression) {
  const std::string x = Npy("<f4", "(2, 1)", BytesOf<float>({1, 2})),
                    y = Npy("<f4", "(2, 1)", BytesOf<float>({.5f, 9}));
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load(x, y, {.regression = true}));
  EXPECT_THAT(result.dataset.targets, ElementsAre(0.5f, 9.0f));
}

TEST_F(NpzTest, NotFiniteRowsAreLeftOut) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  ASSERT_OK_AND_ASSIGN(const LoadResult result, Load(Npy("<f4", "(2, 2)", BytesOf<float>({1, nan, 2, 3})), labels_));
  EXPECT_THAT(result.dataset.features, ElementsAre(2, 3));
  EXPECT_THAT(result.report.undecodable.names, ElementsAre(dir_.File("data.npz[0] (not a finite number)")));
}

TEST_F(NpzTest, SplitsAsKerasNamesThem) {
  const std::string one = Npy("|u1", "(1, 2)", BytesOf<uint8_t>({1, 2})),
                    zero = Npy("|u1", "(1,)", BytesOf<uint8_t>({0}));
  const std::string two = Npy("|u1", "(2, 2)", BytesOf<uint8_t>({1, 2, 3, 4}));
  const std::string path = dir_.Write(
      "mnist.npz",
      Zip({{"x_test.npy", one}, {"y_test.npy", zero}, {"x_train.npy", two}, {"y_train.npy", labels_}}, false));
  EXPECT_EQ(LoadData(path, {})->dataset.count, 2u);
  EXPECT_EQ(LoadData(path, {.split = Split::kTest})->dataset.count, 1u);
}

TEST_F(NpzTest, WrongShapesAreRefused) {
  const std::string x = Npy("<f4", "(2, 1)", BytesOf<float>({1, 2}));
  EXPECT_THAT(Load(Npy("<f4", "(2,)", BytesOf<float>({1, 2})), labels_),
              StatusIs(kInvalid, HasSubstr("x has the shape (2)")));
  EXPECT_THAT(Load(x, Npy("<f4", "(1, 2)", BytesOf<float>({1, 2}))),
              StatusIs(kInvalid, HasSubstr("y has the shape (1, 2)")));
  EXPECT_THAT(Load(Npy("<f4", "(2, 0)", ""), labels_), StatusIs(kInvalid, HasSubstr("zero")));
}

TEST_F(NpzTest, MissingArraysAreNamed) {
  const std::string path = dir_.Write("data.npz", Zip({{"z.npy", labels_}}, true));
  EXPECT_THAT(LoadData(path, {}), StatusIs(kInvalid, AllOf(HasSubstr(path), HasSubstr("no arrays x and y"))));
}

}  // namespace
}  // namespace tributary::data
