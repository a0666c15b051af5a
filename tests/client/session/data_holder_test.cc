#include "client/session/data_holder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/learning/compatibility.h"
#include "tests/client/session/test_federation.h"
#include "tests/common/data/sample_files.h"
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
  const auto data = DataHolder::Load(Csv(dir, "a,b,label\n1,2,dog\n3,4,cat\n5,6,dog\n"), policy::Policy());
  ASSERT_OK(data->status());
  EXPECT_EQ("3 examples, 2, classes cat dog", DescribeFacts(data->facts()));
  ASSERT_OK_AND_ASSIGN(const data::Dataset* mapped, data->ForModel(Model({"bird", "dog", "cat"})));
  EXPECT_EQ((std::vector<int32_t>{1, 2, 1}), mapped->labels);
  ASSERT_OK_AND_ASSIGN(mapped, data->ForModel(Model({"cat", "dog", "bird"})));
  EXPECT_EQ((std::vector<int32_t>{1, 0, 1}), mapped->labels) << "the second mapping stands on the first";
}

TEST(DataHolderTest, ANameThatTheRunDoesNotListIsUnknown) {
  const testing::TempDir dir;
  const auto data = DataHolder::Load(Csv(dir, "a,b,label\n1,2,dog\n3,4,eel\n"), policy::Policy());
  const Refusal refusal = data->Check(Model({"cat", "dog", "bird"}));
  EXPECT_EQ("unknown_class", refusal.code);
  EXPECT_NE(std::string::npos, refusal.reason.find("eel"));
  EXPECT_THAT(data->ForModel(Model({"cat", "dog", "bird"})), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(DataHolderTest, DuplicatesAreWhatThePolicySays) {
  const testing::TempDir dir;
  const ClientSettings settings = Csv(dir, "a,b,label\n1,2,dog\n3,4,cat\n1,2,dog\n");
  policy::Policy policy;
  const auto kept = DataHolder::Load(settings, policy);
  EXPECT_EQ(3u, kept->facts().examples());
  EXPECT_THAT(kept->report().Lines(),
              ::testing::Contains(::testing::StartsWith("1 are exact duplicates of others, kept: ")));
  policy.duplicates = policy::Duplicates::kSkip;
  const auto skipped = DataHolder::Load(settings, policy);
  EXPECT_EQ(2u, skipped->facts().examples());
  ASSERT_OK_AND_ASSIGN(const data::Dataset* trained, skipped->ForModel(Model({"bird", "dog", "cat"})));
  EXPECT_EQ(skipped->facts().examples(), trained->count) << "what is declared is what trains";
  EXPECT_THAT(skipped->report().Lines(),
              ::testing::Contains(::testing::StartsWith("1 were exact duplicates of others: ")));
  policy.duplicates = policy::Duplicates::kRefuse;
  EXPECT_THAT(DataHolder::Load(settings, policy)->status(),
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("exact duplicates")));
}

// Folders may be called anything; the wire's strings may not.
TEST(DataHolderTest, ClassesThatTheCoordinatorCannotBeToldAreAReason) {
  for (const char* name : {"cat\x1b[2J", "Z\xfcrich"}) {
    data::Dataset data = TestFederation::Data(5);
    data.classes = {"dog", name};
    data.num_classes = 2;
    const auto holder = DataHolder::Of(std::move(data));
    EXPECT_THAT(holder->status(), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("classes[1]")));
    EXPECT_EQ(holder->facts().classes_size(), 0) << "nothing of it is sent";
  }
}

TEST(DataHolderTest, AnotherShapeIsAMismatch) {
  const auto data = DataHolder::Of(TestFederation::Data(5));
  EXPECT_EQ("data_mismatch", data->Check(Model({}, 2)).code);
  EXPECT_FALSE(data->Check(Model({}, 3)).refused());
}

TEST(DataHolderTest, DataThatCannotBeReadAreAReasonAndNoCrash) {
  ClientSettings settings;
  settings.data = "/nonexistent/data.csv";
  const auto data = DataHolder::Load(settings, policy::Policy());
  EXPECT_FALSE(data->status().ok());
  const Refusal refusal = data->Check(Model({}));
  EXPECT_EQ("data_error", refusal.code);
  EXPECT_NE(std::string::npos, refusal.reason.find("data.csv"));
  EXPECT_EQ(std::string::npos, refusal.reason.find("/nonexistent")) << "where the data lie is the owner's business";
  EXPECT_EQ(std::string::npos, refusal.reason.find('\n'));
}

// ---- data that change

class ChangingDataTest : public ::testing::Test {
 protected:
  void Write(const char* text) { (void)dir_.Write("data.csv", text); }
  Refusal Train() { return RefusalOf(data_->ForModel(Model({})).status(), "ok"); }

  testing::TempDir dir_;
  std::unique_ptr<DataHolder> data_ = DataHolder::Load(Csv(dir_, "a,b,label\n1,2,0\n3,4,1\n5,6,2\n"), policy::Policy());
};

TEST_F(ChangingDataTest, FilesAsTheyWereAreNotReadAgain) {
  ASSERT_OK_AND_ASSIGN(const data::Dataset* first, data_->ForModel(Model({})));
  const float* const at = first->features.data();
  ASSERT_OK_AND_ASSIGN(const data::Dataset* second, data_->ForModel(Model({})));
  EXPECT_EQ(at, second->features.data());
}

TEST_F(ChangingDataTest, OtherValuesOfAsManyExamplesAreTrainedAsTheyAreNow) {
  Write("a,b,label\n9,2,0\n3,4,1\n5,6,2\n");
  ASSERT_OK_AND_ASSIGN(const data::Dataset* now, data_->ForModel(Model({})));
  EXPECT_EQ(9, now->features[0]);
  EXPECT_FALSE(data_->MustTell());
}

TEST_F(ChangingDataTest, AnotherCountIsNotTrainedBeforeTheCoordinatorWasTold) {
  Write("a,b,label\n1,2,0\n3,4,1\n5,6,2\n7,8,2\n");
  EXPECT_FALSE(data_->Check(Model({})).refused()) << "not known before the files are read";
  const v1::DatasetFacts before = data_->facts();
  const Refusal refusal = Train();
  EXPECT_EQ("data_mismatch", refusal.code);
  EXPECT_NE(std::string::npos, refusal.reason.find("4 examples, 2, 3 classes; the coordinator was told 3"))
      << refusal.reason;
  EXPECT_EQ(3u, before.examples());
  EXPECT_TRUE(data_->MustTell());
  EXPECT_EQ("data_mismatch", Train().code) << "not even when asked again";
  data_->SetTold(data_->facts());
  EXPECT_FALSE(data_->MustTell());
  ASSERT_OK_AND_ASSIGN(const data::Dataset* now, data_->ForModel(Model({})));
  EXPECT_EQ(4u, now->count);
}

TEST_F(ChangingDataTest, AChangeThatDoesNotFitTheModelIsAMismatch) {
  Write("a,b,c,label\n1,2,3,0\n3,4,5,1\n5,6,7,2\n");
  EXPECT_EQ("data_mismatch", Train().code);
  data_->SetTold(data_->facts());
  EXPECT_EQ("data_mismatch", Train().code) << "three features are not two";
}

TEST_F(ChangingDataTest, DataThatAreGoneDeclineUntilTheyAreBack) {
  std::filesystem::rename(dir_.File("data.csv"), dir_.File("away.csv"));
  EXPECT_FALSE(data_->Check(Model({})).refused()) << "the trainer looks";
  EXPECT_EQ("data_error", Train().code);
  EXPECT_EQ("data_error", data_->Check(Model({})).code) << "known by now";
  EXPECT_FALSE(data_->MustTell()) << "it says what it said: the operator sees why it declines";
  EXPECT_EQ(3u, data_->facts().examples());
  std::filesystem::rename(dir_.File("away.csv"), dir_.File("data.csv"));
  EXPECT_FALSE(data_->Check(Model({})).refused());
  EXPECT_OK(data_->ForModel(Model({})).status());
}

TEST_F(ChangingDataTest, DataThatWereNeverThereAreTakenWhenTheyCome) {
  ClientSettings settings;
  settings.data = dir_.File("late.csv");
  const auto late = DataHolder::Load(settings, policy::Policy());
  EXPECT_FALSE(late->status().ok());
  v1::DatasetFacts told = data_->facts();
  late->SetTold(told);  // as the ledger remembers
  (void)dir_.Write("late.csv", "a,b,label\n1,2,0\n3,4,1\n5,6,2\n");
  EXPECT_OK(late->ForModel(Model({})).status());
}

TEST(DataHolderTest, SharesAreDisjointAndComplete) {
  ClientSettings settings;
  settings.data = "synthetic:90";
  uint64_t together = 0;
  for (const char* part : {"1/4", "2/4", "3/4", "4/4"}) {
    settings.part = part;
    const auto data = DataHolder::Load(settings, policy::Policy());
    ASSERT_OK(data->status());
    together += data->facts().examples();
  }
  EXPECT_EQ(90u, together);
}

// cat.1.png is all black, dog.2.png all white, each of its own size and channels.
class ImagesOfAnySizeTest : public ::testing::Test {
 protected:
  ImagesOfAnySizeTest() {
    dir_.Write("pictures/cat.1.png", Flat(0, 9, 14, 1));
    dir_.Write("pictures/dog.2.png", Flat(255, 40, 31, 3));
    dir_.Write("pictures/dog.3.png", Flat(255, 5, 5, 1));
    settings_.data = dir_.path() + "/pictures";
  }
  static std::string Flat(uint8_t value, size_t height, size_t width, size_t channels) {
    return data::Png({height, width, channels, std::vector<uint8_t>(height * width * channels, value)});
  }
  // cat-cnn, for pictures of another size than its own.
  static nn::ModelDescription Cats(uint32_t height, uint32_t width, uint32_t channels,
                                   const std::vector<std::string>& classes) {
    v1::ModelDescription proto = nn::ModelDescription::Preset("cat-cnn").value();
    proto.clear_input();
    for (const uint32_t extent : {height, width, channels}) proto.add_input(extent);
    for (const std::string& name : classes) proto.add_classes(name);
    return nn::ModelDescription::FromProto(proto).value();
  }
  std::unique_ptr<DataHolder> Load() { return DataHolder::Load(settings_, policy::Policy()); }

  testing::TempDir dir_;
  ClientSettings settings_;
};

TEST_F(ImagesOfAnySizeTest, HelloNamesNoShape) {
  const auto data = Load();
  ASSERT_OK(data->status());
  EXPECT_EQ(0, data->facts().shape_size());
  EXPECT_EQ("3 examples, images of any size, classes cat dog", DescribeFacts(data->facts()));
}

TEST_F(ImagesOfAnySizeTest, EachModelGetsItsOwnSizeAndOrderOfClasses) {
  const auto data = Load();
  const std::vector<nn::ModelDescription> models = {Cats(28, 28, 1, {"cat", "dog"}), Cats(12, 20, 3, {"dog", "cat"}),
                                                    Cats(28, 28, 1, {"cat", "dog"})};
  for (const nn::ModelDescription& model : models) {
    ASSERT_OK_AND_ASSIGN(const data::Dataset* mapped, data->ForModel(model));
    EXPECT_OK(learning::CheckCompatible(*mapped, model));
    for (size_t i = 0; i < 3; ++i) {
      const bool white = mapped->pixels[i * mapped->example_size()] == 255;
      EXPECT_EQ(white ? "dog" : "cat", model.classes()[static_cast<size_t>(mapped->labels[i])]);
    }
  }
}

TEST_F(ImagesOfAnySizeTest, TheSizeTrainedLastIsKept) {
  const auto data = Load();
  ASSERT_OK_AND_ASSIGN(const data::Dataset* mapped, data->ForModel(Cats(28, 28, 1, {"cat", "dog"})));
  const auto* const decoded = mapped->pixels.data();
  ASSERT_OK_AND_ASSIGN(mapped, data->ForModel(Cats(28, 28, 1, {"dog", "cat"})));
  EXPECT_EQ(decoded, mapped->pixels.data()) << "not decoded again";
}

TEST_F(ImagesOfAnySizeTest, AFolderThatIsGoneIsADataErrorThatNamesIt) {
  const auto data = Load();
  std::filesystem::remove_all(settings_.data);
  const Refusal refusal = RefusalOf(data->ForModel(Cats(28, 28, 1, {"cat", "dog"})).status(), "other");
  EXPECT_EQ("data_error", refusal.code);
  EXPECT_NE(std::string::npos, refusal.reason.find("pictures")) << refusal.reason;
  EXPECT_EQ(std::string::npos, refusal.reason.find(settings_.data)) << refusal.reason;
}

TEST_F(ImagesOfAnySizeTest, APictureMoreThanHelloToldIsAMismatchUntilItIsTold) {
  const auto data = Load();
  dir_.Write("pictures/cat.9.png", Flat(3, 6, 6, 1));
  const Refusal refusal = RefusalOf(data->ForModel(Cats(28, 28, 1, {"cat", "dog"})).status(), "other");
  EXPECT_EQ("data_mismatch", refusal.code);
  EXPECT_NE(std::string::npos, refusal.reason.find("4 examples")) << refusal.reason;
  EXPECT_NE(std::string::npos, refusal.reason.find("told 3 examples")) << refusal.reason;
  std::filesystem::remove(settings_.data + "/cat.9.png");
  EXPECT_OK(data->ForModel(Cats(28, 28, 1, {"cat", "dog"})).status()) << "as it was: fine again";
}

TEST_F(ImagesOfAnySizeTest, AModelOfPlainRowsDoesNotTakeImages) {
  EXPECT_EQ("data_mismatch", Load()->Check(Model({"cat", "dog", "eel"}, 2352)).code);
}

TEST_F(ImagesOfAnySizeTest, AShapeThatTheOwnerNamedIsTheOnlyOne) {
  settings_.shape = {8, 8, 1};
  const auto data = Load();
  EXPECT_EQ("3 examples, 8x8x1, classes cat dog", DescribeFacts(data->facts()));
  EXPECT_EQ("data_mismatch", data->Check(Cats(28, 28, 1, {"cat", "dog"})).code);
  EXPECT_FALSE(data->Check(Cats(8, 8, 1, {"cat", "dog"})).refused());
}

}  // namespace
}  // namespace tributary::session
