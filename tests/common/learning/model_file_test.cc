#include "common/learning/model_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <numeric>
#include <string>

#include "common/base/bytes.h"
#include "common/base/files.h"
#include "common/learning/initial_model.h"
#include "tests/common/learning/toy_problem.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::learning {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::tributary::testing::StatusIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<float> CountingParameters() {
  std::vector<float> parameters(3);
  std::iota(parameters.begin(), parameters.end(), 1.0f);
  return parameters;
}

// The file of LineModel: dense_1/kernel [2, 1] and dense_1/bias [1] with the values 1, 2, 3.
std::string LineFile() { return EncodeModelFile(LineModel(), CountingParameters(), {{"run", "r1"}}).value(); }

std::string HeaderOf(const std::string& file) { return file.substr(8, LoadLe64(file.data())); }

// The file with `from` in its header replaced by `to`.
std::string WithHeader(const std::string& file, const std::string& from, const std::string& to) {
  std::string header = HeaderOf(file);
  const std::string data = file.substr(8 + header.size());
  const size_t at = header.find(from);
  EXPECT_NE(at, std::string::npos) << from << " is not in " << header;
  header.replace(at, from.size(), to);
  std::string out;
  AppendLe64(&out, header.size());
  return out + header + data;
}

TEST(ModelFileTest, ComesBackAsWritten) {
  const v1::ModelDescription proto = QuadrantModel();
  ASSERT_OK_AND_ASSIGN(const std::vector<float> parameters, InitialParameters(Describe(proto), 3));
  ASSERT_OK_AND_ASSIGN(const std::string bytes,
                       EncodeModelFile(proto, parameters, {{"run", "r1"}, {"round", "7"}, {"note", "\"\xc3\xa9\n"}}));
  ASSERT_OK_AND_ASSIGN(const ModelFile file, DecodeModelFile(bytes));
  EXPECT_EQ(file.parameters, parameters);
  EXPECT_EQ(file.metadata.at("run"), "r1");
  EXPECT_EQ(file.metadata.at("round"), "7");
  EXPECT_EQ(file.metadata.at("note"), "\"\xc3\xa9\n");
  v1::ModelDescription back;
  ASSERT_OK(file.ParseDescription(&back));
  EXPECT_EQ(back.SerializeAsString(), proto.SerializeAsString());
  ASSERT_OK_AND_ASSIGN(const nn::ModelDescription model, file.Model());
  EXPECT_EQ(model.parameter_count(), parameters.size());
}

TEST(ModelFileTest, IsSafetensorsAsOthersReadIt) {
  const std::string file = LineFile(), header = HeaderOf(file);
  EXPECT_EQ((8 + header.size()) % 8, 0u);
  EXPECT_THAT(header, StartsWith("{"));
  EXPECT_THAT(header, HasSubstr(R"("dense_1/kernel":{"data_offsets":[0,8],"dtype":"F32","shape":[2,1]})"));
  EXPECT_THAT(header, HasSubstr(R"("dense_1/bias":{"data_offsets":[8,12],"dtype":"F32","shape":[1]})"));
  EXPECT_EQ(HexEncode(file.substr(8 + header.size())),
            "0000803f"
            "00000040"
            "00004040");
}

TEST(ModelFileTest, SameInputGivesSameBytes) { EXPECT_EQ(LineFile(), LineFile()); }

TEST(ModelFileTest, ParametersThatDoNotFitAreNotWritten) {
  EXPECT_THAT(EncodeModelFile(LineModel(), std::vector<float>(2), {}), StatusIs(kInvalid));
  EXPECT_THAT(EncodeModelFile(v1::ModelDescription(), {}, {}), StatusIs(kInvalid));
}

TEST(ModelFileTest, EveryTruncationIsRefused) {
  const std::string file = LineFile();
  for (size_t length = 0; length < file.size(); ++length) {
    ASSERT_THAT(DecodeModelFile(std::string_view(file).substr(0, length)), StatusIs(kInvalid)) << length;
  }
  EXPECT_THAT(DecodeModelFile(file + '\0'), StatusIs(kInvalid, HasSubstr("after the last tensor")));
}

TEST(ModelFileTest, AFlippedByteIsNoticed) {
  const std::string file = LineFile();
  for (const size_t at : {file.size() - 1, file.size() - 7, file.size() - 12}) {
    std::string flipped = file;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_THAT(DecodeModelFile(flipped), StatusIs(kInvalid, HasSubstr("digest"))) << at;
  }
}

TEST(ModelFileTest, AHeaderLongerThanTheFileIsRefusedBeforeItIsRead) {
  std::string file = LineFile();
  for (const uint64_t length : {uint64_t{1} << 20, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    std::string bad;
    AppendLe64(&bad, length);
    EXPECT_THAT(DecodeModelFile(bad + file.substr(8)), StatusIs(kInvalid, HasSubstr("header would be")));
  }
}

struct BadHeader {
  const char* name;
  const char* from;
  const char* to;
  const char* says;
};

class BadHeaderTest : public ::testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaderTest, IsRefused) {
  EXPECT_THAT(DecodeModelFile(WithHeader(LineFile(), GetParam().from, GetParam().to)),
              StatusIs(kInvalid, AllOf(StartsWith("not a model file: "), HasSubstr(GetParam().says))));
}

INSTANTIATE_TEST_SUITE_P(
    Headers, BadHeaderTest,
    ::testing::Values(BadHeader{"not_json", "{", "[", "not a JSON object"},
                      BadHeader{"dtype", "F32", "F16", "dtype is not F32"},
                      BadHeader{"shape", "[2,1]", "[1,2]", "its shape"},
                      BadHeader{"negative_shape", "[2,1]", "[-2,1]", "its shape"},
                      BadHeader{"beyond", "[8,12]", "[12,16]", "outside the file"},
                      BadHeader{"backwards", "[8,12]", "[12,8]", "outside the file"},
                      BadHeader{"huge", "[8,12]", "[8,18446744073709551615]", "outside the file"},
                      BadHeader{"length", "[8,12]", "[4,12]", "length does not fit"},
                      BadHeader{"overlap", "[8,12]", "[4,8]", "overlap"},
                      BadHeader{"one_offset", "[8,12]", "[8]", "data_offsets is not"},
                      BadHeader{"fraction", "[8,12]", "[8.5,12]", "data_offsets is not"},
                      BadHeader{"missing_tensor", "dense_1/bias", "dense_2/bias", "dense_1/bias is missing"},
                      BadHeader{"named_twice", "dense_1/bias", "dense_1/kernel", "twice"},
                      BadHeader{"no_dtype", "\"dtype\"", "\"type\"", "needs dtype"},
                      BadHeader{"no_metadata", "__metadata__", "__meta__", "no metadata"},
                      BadHeader{"other_format", "tributary/model/v1", "tributary/model/v9", "its format"},
                      BadHeader{"metadata_number", "\"r1\"", "1", "not all text"},
                      BadHeader{"no_digest", "parameters_sha256", "parameters_sha1", "no digest"},
                      BadHeader{"bad_description", "dense\\\"", "blend\\\"", "model description"}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(ModelFileTest, AValueThatIsNotFiniteIsRefused) {
  const std::vector<float> parameters{1, std::numeric_limits<float>::infinity(), 3};
  ASSERT_OK_AND_ASSIGN(const std::string bytes, EncodeModelFile(LineModel(), parameters, {}));
  EXPECT_THAT(DecodeModelFile(bytes), StatusIs(kInvalid, HasSubstr("not finite")));
}

TEST(ModelFileTest, AnotherOrderOfTensorsIsFine) {
  std::string file = WithHeader(LineFile(), "[0,8]", "[4,12]");
  file = WithHeader(file, "[8,12]", "[0,4]");
  std::rotate(file.end() - 12, file.end() - 4, file.end());
  ASSERT_OK_AND_ASSIGN(const ModelFile back, DecodeModelFile(file));
  EXPECT_EQ(back.parameters, CountingParameters());
}

TEST(ModelFileTest, IsWrittenToAndReadFromDisk) {
  const tributary::testing::TempDir dir;
  const std::string path = dir.File("m.safetensors");
  ASSERT_OK(WriteModelFile(path, LineModel(), CountingParameters(), {{"run", "r1"}}));
  ASSERT_OK_AND_ASSIGN(const ModelFile file, ReadModelFile(path));
  EXPECT_EQ(file.parameters, CountingParameters());
  EXPECT_THAT(ReadModelFile(dir.File("none")), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(ReadModelFile(dir.Write("bad", "x")), StatusIs(kInvalid, HasSubstr("/bad: not a model file")));
}

}  // namespace
}  // namespace tributary::learning
