#include "common/update/update_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/update/rejection.h"
#include "tests/support/status_matchers.h"

namespace tributary::update {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::tributary::testing::StatusIs;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Bytes of any floats, also of those that EncodeDelta refuses.
std::string Raw(const std::vector<float>& values) {
  std::string out(values.size() * sizeof(float), '\0');
  if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
  return out;
}

std::string CodeOf(const std::vector<float>& values) {
  return RejectionCode(DecodeDelta("float32", Raw(values), values.size()).status());
}

TEST(UpdateCodecTest, Float32IsLittleEndianIeee754AndNothingElse) {
  ASSERT_OK_AND_ASSIGN(const std::string bytes, EncodeDelta("float32", std::vector<float>{1.0f, -2.5f, 0.0f}));
  EXPECT_EQ(HexEncode(bytes),
            "0000803f"
            "000020c0"
            "00000000");
}

TEST(UpdateCodecTest, EveryBitComesBack) {
  const std::vector<float> delta{1.0f, -0.0f, 0x1p-149f, -0x1p-126f, std::nextafter(0x1p20f, 0.0f), 1.0f / 3};
  ASSERT_OK_AND_ASSIGN(const std::string bytes, EncodeDelta("float32", delta));
  ASSERT_OK_AND_ASSIGN(const std::vector<float> back, DecodeDelta("float32", bytes, delta.size()));
  EXPECT_EQ(Raw(back), Raw(delta));
}

TEST(UpdateCodecTest, LengthMustBeExact) {
  for (const size_t bytes : {0, 1, 7, 9, 12}) {
    EXPECT_EQ(RejectionCode(DecodeDelta("float32", std::string(bytes, '\0'), 2).status()), "wrong_shape") << bytes;
  }
  EXPECT_THAT(DecodeDelta("float32", std::string(12, '\0'), 2),
              StatusIs(absl::StatusCode::kInvalidArgument, "needs exactly 8 bytes, got 12"));
}

TEST(UpdateCodecTest, ValuesThatAreNotFiniteAreRefused) {
  EXPECT_EQ(CodeOf({0, kNan}), "not_finite");
  EXPECT_EQ(CodeOf({kInf, 0}), "not_finite");
  EXPECT_EQ(CodeOf({0, 0, -kInf}), "not_finite");
}

TEST(UpdateCodecTest, ValuesFrom2To20UpAreTooLarge) {
  EXPECT_EQ(CodeOf({0x1p20f}), "too_large");
  EXPECT_EQ(CodeOf({0, -0x1p20f}), "too_large");
  EXPECT_EQ(CodeOf({3e38f}), "too_large");
  EXPECT_EQ(CodeOf({std::nextafter(0x1p20f, 0.0f)}), "");
}

TEST(UpdateCodecTest, TheFirstBadValueIsNamedWhereverItIs) {
  for (const size_t at : {0, 1, 1023, 1024, 70000, 99999}) {
    std::vector<float> values(100000, 0.5f);
    values[at] = kNan;
    values.back() = kInf;
    EXPECT_THAT(DecodeDelta("float32", Raw(values), values.size()),
                StatusIs(absl::StatusCode::kInvalidArgument, "value " + std::to_string(at) + " is not finite"));
  }
}

TEST(UpdateCodecTest, NothingThatWouldBeRefusedIsEncoded) {
  EXPECT_EQ(RejectionCode(EncodeDelta("float32", std::vector<float>{kNan}).status()), "not_finite");
  EXPECT_EQ(RejectionCode(EncodeDelta("float32", std::vector<float>{0x1p21f}).status()), "too_large");
}

TEST(UpdateCodecTest, UnknownEncodingsAreRefused) {
  EXPECT_THAT(EncodingNames(), ElementsAre("float32"));
  EXPECT_TRUE(IsKnownEncoding("float32"));
  for (const char* name : {"", "Float32", "float16", "float32 "}) {
    EXPECT_FALSE(IsKnownEncoding(name));
    EXPECT_EQ(RejectionCode(DecodeDelta(name, "", 0).status()), "bad_encoding") << name;
    EXPECT_EQ(RejectionCode(EncodeDelta(name, {}).status()), "bad_encoding") << name;
    EXPECT_EQ(RejectionCode(DeltaDecoder::Create(name, 1).status()), "bad_encoding") << name;
  }
}

TEST(UpdateCodecTest, SizesAreChecked) {
  EXPECT_EQ(*EncodedBytes("float32", 693962), 2775848u);
  EXPECT_EQ(*EncodedBytes("float32", kMaxParameters), kMaxModelBytes);
  EXPECT_EQ(RejectionCode(EncodedBytes("float32", kMaxParameters + 1).status()), "too_large");
}

// Feeds `bytes` in pieces of `piece` bytes and collects what comes out.
absl::StatusOr<std::vector<float>> DecodeInPieces(const std::string& bytes, size_t piece, size_t count) {
  TRB_ASSIGN_OR_RETURN(DeltaDecoder decoder, DeltaDecoder::Create("float32", count));
  std::vector<float> out;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    TRB_RETURN_IF_ERROR(decoder.Consume(std::string_view(bytes).substr(at, piece),
                                        [&out](size_t offset, std::span<const float> values) {
                                          EXPECT_EQ(offset, out.size());
                                          out.insert(out.end(), values.begin(), values.end());
                                          return absl::OkStatus();
                                        }));
  }
  TRB_RETURN_IF_ERROR(decoder.Finish());
  return out;
}

TEST(DeltaDecoderTest, PiecesOfAnyLengthGiveTheSameValues) {
  std::vector<float> values(1001);
  std::iota(values.begin(), values.end(), -500.25f);
  const std::string bytes = Raw(values);
  for (const size_t piece : {1, 2, 3, 4, 5, 7, 64, 4003, 100000}) {
    ASSERT_OK_AND_ASSIGN(const std::vector<float> got, DecodeInPieces(bytes, piece, values.size()));
    EXPECT_EQ(got, values) << "pieces of " << piece;
  }
}

TEST(DeltaDecoderTest, PiecesLargerThanAChunkAreWorkedInChunks) {
  const std::vector<float> values(kChunkBytes, 1.5f);
  ASSERT_OK_AND_ASSIGN(const std::vector<float> got, DecodeInPieces(Raw(values), values.size() * 4, values.size()));
  EXPECT_EQ(got, values);
}

TEST(DeltaDecoderTest, MissingAndSurplusBytesAreTheWrongShape) {
  const std::string bytes = Raw({1, 2, 3});
  EXPECT_EQ(RejectionCode(DecodeInPieces(bytes, 5, 4).status()), "wrong_shape");
  EXPECT_EQ(RejectionCode(DecodeInPieces(bytes, 5, 2).status()), "wrong_shape");
  EXPECT_EQ(RejectionCode(DecodeInPieces(bytes.substr(0, 11), 5, 3).status()), "wrong_shape");
}

TEST(DeltaDecoderTest, NamesABadValueByItsPlaceInTheWhole) {
  std::vector<float> values(500, 0.0f);
  values[400] = kNan;
  EXPECT_THAT(DecodeInPieces(Raw(values), 33, values.size()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("value 400 ")));
}

TEST(DeltaDecoderTest, AnErrorStays) {
  ASSERT_OK_AND_ASSIGN(DeltaDecoder decoder, DeltaDecoder::Create("float32", 2));
  const auto sink = [](size_t, std::span<const float>) { return absl::OkStatus(); };
  EXPECT_EQ(RejectionCode(decoder.Consume(Raw({kNan}), sink)), "not_finite");
  EXPECT_EQ(RejectionCode(decoder.Consume(Raw({1}), sink)), "not_finite");
  EXPECT_EQ(RejectionCode(decoder.Finish()), "not_finite");
}

TEST(DeltaDecoderTest, TheSinksErrorEndsIt) {
  ASSERT_OK_AND_ASSIGN(DeltaDecoder decoder, DeltaDecoder::Create("float32", 2));
  const auto full = [](size_t, std::span<const float>) { return absl::ResourceExhaustedError("full"); };
  EXPECT_THAT(decoder.Consume(Raw({1, 2}), full), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(decoder.Finish(), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(ParametersTest, ComeBackToTheBit) {
  const std::vector<float> parameters{0.1f, -3e30f, 0x1p-149f, -0.0f};
  ASSERT_OK_AND_ASSIGN(const std::vector<float> back, DecodeParameters(EncodeParameters(parameters), 4));
  EXPECT_EQ(Raw(back), Raw(parameters));
}

TEST(ParametersTest, WrongLengthAndNonFiniteValuesAreRefused) {
  EXPECT_EQ(RejectionCode(DecodeParameters(std::string(8, '\0'), 3).status()), "wrong_shape");
  EXPECT_EQ(RejectionCode(DecodeParameters(Raw({1, kInf}), 2).status()), "not_finite");
}

TEST(EuclideanNormTest, SumsInDouble) {
  EXPECT_EQ(EuclideanNorm(std::vector<float>{3, 4}), 5);
  EXPECT_EQ(EuclideanNorm({}), 0);
  EXPECT_NEAR(EuclideanNorm(std::vector<float>(1 << 20, 1e-3f)), 1024 * static_cast<double>(1e-3f), 1e-9);
}

}  // namespace
}  // namespace tributary::update
