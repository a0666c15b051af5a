#include "common/learning/compatibility.h"

#include <gtest/gtest.h>

#include "tests/common/learning/toy_problem.h"
#include "tests/support/status_matchers.h"

namespace tributary::learning {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::tributary::testing::IsOk;
using ::tributary::testing::StatusIs;

constexpr auto kUnfit = absl::StatusCode::kFailedPrecondition;

nn::ModelDescription NamedModel(std::vector<std::string> classes) {
  v1::ModelDescription proto = QuadrantModel();
  for (std::string& name : classes) *proto.add_classes() = std::move(name);
  return Describe(proto);
}

TEST(CompatibilityTest, DataOfTheModelsShapeAndClassesFit) {
  EXPECT_OK(CheckCompatible(Quadrants(8), Describe(QuadrantModel())));
  EXPECT_OK(CheckCompatible(Line(8), Describe(LineModel())));
  EXPECT_OK(CheckCompatible(TwoSides(8), Describe(TwoSidesModel())));
}

TEST(CompatibilityTest, FactsTellCountsAndNamesOnly) {
  data::Dataset d = Quadrants(8);
  d.classes = {"a", "b", "c", "d"};
  const DataFacts images = FactsOf(d);
  EXPECT_EQ(images.examples, 8u);
  EXPECT_THAT(images.shape, ElementsAre(8, 8, 1));
  EXPECT_THAT(images.classes, ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(images.num_classes, 4u);
  EXPECT_THAT(FactsOf(Line(5)).shape, ElementsAre(2));
}

TEST(CompatibilityTest, FewerClassesThanTheModelsAreFine) {
  data::Dataset d = Quadrants(8);
  d.num_classes = 2;
  for (int32_t& label : d.labels) label %= 2;
  EXPECT_OK(CheckCompatible(d, Describe(QuadrantModel())));
}

TEST(CompatibilityTest, AnotherShapeIsRefusedWithBothShapes) {
  data::Dataset d = Quadrants(8);
  d.height = 4;
  d.width = 16;
  EXPECT_THAT(CheckCompatible(d, Describe(QuadrantModel())),
              StatusIs(kUnfit, "the data have shape [4, 16, 1], the model takes [8, 8, 1]"));
  EXPECT_THAT(CheckCompatible(Line(4), Describe(QuadrantModel())), StatusIs(kUnfit, HasSubstr("[2]")));
}

TEST(CompatibilityTest, AllReasonsAreListedAtOnce) {
  const DataFacts facts{.examples = 0, .shape = {1}, .classes = {}, .num_classes = 9};
  EXPECT_THAT(CheckFacts(facts, Describe(QuadrantModel())),
              StatusIs(kUnfit, AllOf(HasSubstr("no examples"), HasSubstr("shape [1]"),
                                     HasSubstr("the data have 9 classes, the model 4"))));
}

TEST(CompatibilityTest, ImagesOfAnySizeFitEveryModelOfImages) {
  const DataFacts facts{.examples = 5, .shape = {}, .classes = {}, .num_classes = 2};
  EXPECT_OK(CheckFacts(facts, Describe(QuadrantModel())));
  v1::ModelDescription proto = QuadrantModel();
  proto.set_input(2, 2);
  EXPECT_THAT(CheckFacts(facts, Describe(proto)), StatusIs(kUnfit, HasSubstr("the model takes [8, 8, 2]")));
  EXPECT_THAT(CheckFacts({.examples = 5, .shape = {}, .classes = {}, .num_classes = 0}, Describe(LineModel())),
              StatusIs(kUnfit, "the data are images, the model takes [2]"));
}

TEST(CompatibilityTest, AClassThatTheModelDoesNotNameIsRefused) {
  const nn::ModelDescription model = NamedModel({"ant", "bee", "cat", "dog"});
  DataFacts facts = FactsOf(Quadrants(8));
  facts.classes = {"bee", "emu"};
  EXPECT_THAT(CheckFacts(facts, model), StatusIs(kUnfit, HasSubstr("class \"emu\" is not one of the model's")));
  facts.classes = {"bee", "dog"};
  EXPECT_OK(CheckFacts(facts, model));
}

TEST(CompatibilityTest, LabelsMustCountInTheModelsOrderOfClasses) {
  const nn::ModelDescription model = NamedModel({"ant", "bee", "cat", "dog"});
  data::Dataset d = Quadrants(8);
  d.classes = {"ant", "bee", "cat", "dog"};
  EXPECT_OK(CheckCompatible(d, model));
  d.classes = {"bee", "ant", "cat", "dog"};
  EXPECT_THAT(CheckCompatible(d, model), StatusIs(kUnfit, HasSubstr("order")));
}

TEST(CompatibilityTest, ALabelOutOfRangeIsNamed) {
  data::Dataset d = Quadrants(8);
  d.labels[5] = 4;
  EXPECT_THAT(CheckCompatible(d, Describe(QuadrantModel())), StatusIs(kUnfit, HasSubstr("example 5 has label 4")));
  d.labels[5] = -1;
  EXPECT_THAT(CheckCompatible(d, Describe(QuadrantModel())), StatusIs(kUnfit, HasSubstr("example 5 has label -1")));
}

TEST(CompatibilityTest, RegressionAndClassificationDoNotMix) {
  EXPECT_THAT(CheckCompatible(TwoSides(4), Describe(LineModel())), StatusIs(kUnfit, HasSubstr("predicts numbers")));
  EXPECT_THAT(CheckCompatible(Line(4), Describe(TwoSidesModel())), StatusIs(kUnfit, HasSubstr("needs class labels")));
}

TEST(CompatibilityTest, OneClassOnlyIsAWarning) {
  data::Dataset d = Quadrants(8);
  EXPECT_THAT(CompatibilityWarnings(d), IsEmpty());
  EXPECT_THAT(CompatibilityWarnings(Line(4)), IsEmpty());
  d.labels.assign(8, 2);
  EXPECT_OK(CheckCompatible(d, Describe(QuadrantModel())));
  EXPECT_THAT(CompatibilityWarnings(d), ElementsAre("all examples are of one class (label 2)"));
}

}  // namespace
}  // namespace tributary::learning
