#include "client/session/data_holder.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/client/session/test_federation.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::session {
namespace {

using testing::StatusIs;

nn::ModelDescription Model(const std::vector<std::string>& classes, uint32_t features = 2) {
  v1::ModelDescription proto;
  proto.add_input(features);
  v1::Dense* dense = proto.add_layers()->mutable_dense();
  dense->set_units(3);
  dense->set_activation(v1::ACTIVATION_SOFTMAX);
  proto.set_loss(v1::LOSS_SPARSE_CATEGORICAL_CROSSENTROPY);
  for (const std::string& name : classes) proto.add_classes(name);
  return nn::ModelDescription::FromProto(proto).value();
}

ClientSettings Csv(const testing::TempDir& dir, const char* text) {
  ClientSettings settings;
  settings.data = dir.Write("data.csv", text);
  return settings;
}

TEST(DataHolderTest, NamesAreMappedToThePlaceThatTheModelGivesThem) {
  const testing::TempDir dir;
  const auto data = DataHolder::Load(Csv(dir, "a,b,label\n1,2,dog\n3,4,cat\n5,6,dog\n"), policy::BadData::kSkip);
  ASSERT_OK(data->status());
  EXPECT_EQ("3 examples, 2, classes cat dog", DescribeFacts(data->facts()));
  ASSERT_OK_AND_ASSIGN(const data::Dataset* mapped, data->ForModel(Model({"bird", "dog", "cat"})));
  EXPECT_EQ((std::vector<int32_t>{1, 2, 1}), mapped->labels);
  ASSERT_OK_AND_ASSIGN(mapped, data->ForModel(Model({"cat", "dog", "bird"})));
  EXPECT_EQ((std::vector<int32_t>{1, 0, 1}), mapped->labels) << "the second mapping stands on the first";
}

TEST(DataHolderTest, ANameThatTheRunDoesNotListIsUnknown) {
  const testing::TempDir dir;
  const auto data = DataHolder::Load(Csv(dir, "a,b,label\n1,2,dog\n3,4,eel\n"), policy::BadData::kSkip);
  const Refusal refusal = data->Check(Model({"cat", "dog", "bird"}));
  EXPECT_EQ("unknown_class", refusal.code);
  EXPECT_NE(std::string::npos, refusal.reason.find("eel"));
  EXPECT_THAT(data->ForModel(Model({"cat", "dog", "bird"})), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(DataHolderTest, AnotherShapeIsAMismatch) {
  const auto data = DataHolder::Of(TestFederation::Data(5));
  EXPECT_EQ("data_mismatch", data->Check(Model({}, 2)).code);
  EXPECT_FALSE(data->Check(Model({}, 3)).refused());
}

TEST(DataHolderTest, DataThatCannotBeReadAreAReasonAndNoCrash) {
  ClientSettings settings;
  settings.data = "/nonexistent/data.csv";
  const auto data = DataHolder::Load(settings, policy::BadData::kSkip);
  EXPECT_FALSE(data->status().ok());
  const Refusal refusal = data->Check(Model({}));
  EXPECT_EQ("data_error", refusal.code);
  EXPECT_NE(std::string::npos, refusal.reason.find("/nonexistent/data.csv"));
  EXPECT_EQ(std::string::npos, refusal.reason.find('\n'));
}

TEST(DataHolderTest, SharesAreDisjointAndComplete) {
  ClientSettings settings;
  settings.data = "synthetic:90";
  uint64_t together = 0;
  for (const char* part : {"1/4", "2/4", "3/4", "4/4"}) {
    settings.part = part;
    const auto data = DataHolder::Load(settings, policy::BadData::kSkip);
    ASSERT_OK(data->status());
    together += data->facts().examples();
  }
  EXPECT_EQ(90u, together);
}

}  // namespace
}  // namespace tributary::session
