#include "common/learning/evaluation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/learning/initial_model.h"
#include "common/learning/local_trainer.h"
#include "tests/common/learning/toy_problem.h"
#include "tests/support/status_matchers.h"

namespace tributary::learning {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::tributary::testing::StatusIs;

// Three features, three classes; the dense layer is the identity, so the largest feature is the class.
class IdentityModelTest : public ::testing::Test {
 protected:
  static v1::ModelDescription Proto() {
    return FromText<v1::ModelDescription>(R"pb(
      input: 3
      layers { dense { units: 3 activation: ACTIVATION_SOFTMAX } }
      loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY
      classes: [ "ant", "bee", "cat" ])pb");
  }

  // Rows that the model takes for `predicted`, with `labels`.
  static data::Dataset Rows(const std::vector<size_t>& predicted, std::vector<int32_t> labels) {
    data::Dataset d;
    d.count = predicted.size();
    d.channels = 3;
    d.num_classes = 3;
    for (const size_t p : predicted) {
      for (size_t c = 0; c < 3; ++c) d.features.push_back(c == p ? 2.0f : 0.0f);
    }
    d.labels = std::move(labels);
    return d;
  }

  const nn::ModelDescription model_ = Describe(Proto());
  const std::vector<float> identity_{1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0};
};

TEST_F(IdentityModelTest, ConfusionCountsRowsOfTrueClasses) {
  const data::Dataset d = Rows({0, 0, 1, 1, 1, 0}, {0, 0, 0, 1, 1, 2});
  ASSERT_OK_AND_ASSIGN(const Evaluation e, Evaluate(model_, identity_, d));
  EXPECT_EQ(e.examples, 6u);
  EXPECT_THAT(e.confusion, ElementsAre(ElementsAre(2, 1, 0), ElementsAre(0, 2, 0), ElementsAre(1, 0, 0)));
  EXPECT_DOUBLE_EQ(*e.accuracy, 4.0 / 6);
}

TEST_F(IdentityModelTest, ScoresPerClassAndTheirMeanOverAllClasses) {
  const data::Dataset d = Rows({0, 0, 1, 1, 1, 0}, {0, 0, 0, 1, 1, 2});
  ASSERT_OK_AND_ASSIGN(const Evaluation e, Evaluate(model_, identity_, d));
  ASSERT_THAT(e.per_class, SizeIs(3));
  EXPECT_EQ(e.per_class[0].name, "ant");
  EXPECT_DOUBLE_EQ(e.per_class[0].precision, 2.0 / 3);
  EXPECT_DOUBLE_EQ(e.per_class[0].recall, 2.0 / 3);
  EXPECT_DOUBLE_EQ(e.per_class[1].precision, 2.0 / 3);
  EXPECT_DOUBLE_EQ(e.per_class[1].recall, 1.0);
  EXPECT_DOUBLE_EQ(e.per_class[1].f1, 0.8);
  EXPECT_EQ(e.per_class[2].precision, 0);  // 0/0
  EXPECT_EQ(e.per_class[2].f1, 0);
  EXPECT_EQ(e.per_class[2].examples, 1u);
  EXPECT_DOUBLE_EQ(*e.precision, 4.0 / 9);
  EXPECT_DOUBLE_EQ(*e.recall, 5.0 / 9);
  EXPECT_DOUBLE_EQ(*e.f1, (2.0 / 3 + 0.8) / 3);
  EXPECT_EQ(e.mean_absolute_error, std::nullopt);
}

TEST_F(IdentityModelTest, LossIsTheMeanCrossEntropy) {
  const double right = -std::log(std::exp(2.0) / (std::exp(2.0) + 2)), wrong = right + 2;
  ASSERT_OK_AND_ASSIGN(const Evaluation e, Evaluate(model_, identity_, Rows({0, 1}, {0, 2})));
  EXPECT_NEAR(e.loss, (right + wrong) / 2, 1e-6);
}

TEST_F(IdentityModelTest, IndicesChooseTheExamples) {
  const std::vector<uint32_t> chosen{2, 0};
  ASSERT_OK_AND_ASSIGN(const Evaluation e,
                       Evaluate(model_, identity_, Rows({0, 1, 2}, {0, 0, 2}), {.indices = chosen}));
  EXPECT_EQ(e.examples, 2u);
  EXPECT_EQ(e.accuracy, 1.0);
}

TEST_F(IdentityModelTest, PredictionNamesTheClass) {
  data::Dataset d = Rows({2, 0}, {});
  d.num_classes = 0;
  ASSERT_OK_AND_ASSIGN(const std::vector<Prediction> p, Predict(model_, identity_, d));
  ASSERT_THAT(p, SizeIs(2));
  EXPECT_EQ(p[0].name, "cat");
  EXPECT_EQ(p[0].index, 2u);
  EXPECT_EQ(p[1].name, "ant");
  ASSERT_THAT(p[0].probabilities, SizeIs(3));
  EXPECT_NEAR(p[0].probabilities[2], std::exp(2.0) / (std::exp(2.0) + 2), 1e-6);
}

TEST_F(IdentityModelTest, ALossThatIsNotFiniteIsReported) {
  std::vector<float> broken = identity_;
  broken[0] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_OK_AND_ASSIGN(const Evaluation e, Evaluate(model_, broken, Rows({0, 1}, {0, 1})));
  EXPECT_TRUE(std::isnan(e.loss));
}

TEST_F(IdentityModelTest, MisfitsAreRefused) {
  constexpr auto kUnfit = absl::StatusCode::kFailedPrecondition;
  EXPECT_THAT(Evaluate(model_, identity_, Rows({}, {})), StatusIs(kUnfit, HasSubstr("no examples")));
  EXPECT_THAT(Evaluate(model_, identity_, Rows({0}, {3})), StatusIs(kUnfit));
  EXPECT_THAT(Predict(model_, identity_, Quadrants(1)), StatusIs(kUnfit, HasSubstr("shape")));
  EXPECT_THAT(Evaluate(model_, std::vector<float>(3), Rows({0}, {0})), StatusIs(absl::StatusCode::kInvalidArgument));
  const std::vector<uint32_t> beyond{1};
  EXPECT_THAT(Evaluate(model_, identity_, Rows({0}, {0}), {.indices = beyond}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(IdentityModelTest, StopEndsIt) {
  const EvaluationOptions options{.stop = [] { return true; }};
  EXPECT_THAT(Evaluate(model_, identity_, Rows({0}, {0}), options), StatusIs(absl::StatusCode::kCancelled));
}

TEST(SigmoidEvaluationTest, OneUnitGivesTwoClassesAndTwoProbabilities) {
  const nn::ModelDescription model = Describe(TwoSidesModel());
  const std::vector<float> difference{1, -1, 0};  // p = sigmoid(a - b)
  ASSERT_OK_AND_ASSIGN(const Evaluation e, Evaluate(model, difference, TwoSides(100)));
  EXPECT_EQ(e.accuracy, 1.0);
  EXPECT_EQ(e.f1, 1.0);
  EXPECT_THAT(e.confusion, SizeIs(2));
  data::Dataset one;
  one.count = 1;
  one.channels = 2;
  one.features = {3, 0};
  ASSERT_OK_AND_ASSIGN(const std::vector<Prediction> p, Predict(model, difference, one));
  EXPECT_EQ(p[0].index, 1u);
  EXPECT_EQ(p[0].name, "1");
  EXPECT_NEAR(p[0].probabilities[1], 0.952574, 1e-6);
  EXPECT_NEAR(p[0].probabilities[0], 0.047426, 1e-6);
}

TEST(RegressionEvaluationTest, GivesSquaredAndAbsoluteErrorOnly) {
  // Mean squared error of (2.5, 3.5, 4, 5, 6) against (3, 2.8, 4.2, 4.8, 5.5) is 0.214.
  const nn::ModelDescription model =
      Describe(FromText<v1::ModelDescription>("input: 1 layers { dense { units: 1 } } loss: LOSS_MEAN_SQUARED_ERROR"));
  data::Dataset d;
  d.count = 5;
  d.features = {2.5f, 3.5f, 4, 5, 6};
  d.targets = {3, 2.8f, 4.2f, 4.8f, 5.5f};
  ASSERT_OK_AND_ASSIGN(const Evaluation e, Evaluate(model, std::vector<float>{1, 0}, d));
  EXPECT_NEAR(e.loss, 0.214, 1e-6);
  EXPECT_NEAR(*e.mean_absolute_error, 0.42, 1e-6);
  EXPECT_EQ(e.accuracy, std::nullopt);
  EXPECT_EQ(e.f1, std::nullopt);
  EXPECT_TRUE(e.confusion.empty());
  ASSERT_OK_AND_ASSIGN(const std::vector<Prediction> p, Predict(model, std::vector<float>{1, 0}, d));
  EXPECT_THAT(p[1].probabilities, ElementsAre(3.5f));
  EXPECT_EQ(p[1].name, "");
}

TEST(EvaluationThreadsTest, DoNotChangeABit) {
  const nn::ModelDescription model = Describe(QuadrantModel());
  ASSERT_OK_AND_ASSIGN(const std::vector<float> parameters, InitialParameters(model, 5));
  const data::Dataset d = Quadrants(333);
  ASSERT_OK_AND_ASSIGN(const Evaluation one, Evaluate(model, parameters, d));
  for (const int threads : {2, 7}) {
    ASSERT_OK_AND_ASSIGN(const Evaluation many, Evaluate(model, parameters, d, {.threads = threads}));
    EXPECT_EQ(one.loss, many.loss);
    EXPECT_EQ(one.confusion, many.confusion);
  }
}

}  // namespace
}  // namespace tributary::learning
