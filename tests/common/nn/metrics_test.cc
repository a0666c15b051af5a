#include "common/nn/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tributary::nn {
namespace {

TEST(RegressionMetricsTest, WorkedExampleOfMeanSquaredError) {
  const float predictions[] = {2.5f, 3.5f, 4, 5, 6}, targets[] = {3, 2.8f, 4.2f, 4.8f, 5.5f};
  RegressionMetrics metrics;
  metrics.Add(predictions, targets, 5);
  EXPECT_NEAR(0.214, metrics.mse(), 1e-6);
  EXPECT_NEAR((0.5 + 0.7 + 0.2 + 0.2 + 0.5) / 5, metrics.mae(), 1e-6);
}

TEST(RegressionMetricsTest, PartsAddUp) {
  const float p[] = {1, 2, 3}, t[] = {2, 2, 5};
  RegressionMetrics whole, a, b;
  whole.Add(p, t, 3);
  a.Add(p, t, 1);
  b.Add(p + 1, t + 1, 2);
  a.Merge(b);
  EXPECT_EQ(whole.mse(), a.mse());
  EXPECT_EQ(whole.mae(), a.mae());
  EXPECT_EQ(3u, a.values());
  EXPECT_EQ(0, RegressionMetrics().mse());
}

// Three classes; class 2 is never predicted, class 1 hit once of two.
ConfusionMatrix Example() {
  ConfusionMatrix matrix(3);
  matrix.Add(0, 0), matrix.Add(0, 0), matrix.Add(0, 1);
  matrix.Add(1, 1), matrix.Add(1, 0);
  matrix.Add(2, 0);
  return matrix;
}

TEST(ConfusionMatrixTest, RowsAreTrueClasses) {
  EXPECT_THAT(Example().counts(), testing::ElementsAre(2, 1, 0, 1, 1, 0, 1, 0, 0));
  EXPECT_EQ(6u, Example().total());
  EXPECT_EQ(3u, Example().correct());
  EXPECT_DOUBLE_EQ(0.5, Example().accuracy());
}

TEST(ConfusionMatrixTest, PerClassValuesByHand) {
  const std::vector<ClassMetrics> m = Example().per_class();
  EXPECT_DOUBLE_EQ(2.0 / 4, m[0].precision);
  EXPECT_DOUBLE_EQ(2.0 / 3, m[0].recall);
  EXPECT_DOUBLE_EQ(4.0 / 7, m[0].f1);
  EXPECT_DOUBLE_EQ(1.0 / 2, m[1].precision);
  EXPECT_DOUBLE_EQ(1.0 / 2, m[1].recall);
  EXPECT_DOUBLE_EQ(1.0 / 2, m[1].f1);
  EXPECT_EQ(0, m[2].precision) << "0/0";
  EXPECT_EQ(0, m[2].recall);
  EXPECT_EQ(0, m[2].f1);
  EXPECT_EQ(3u, m[0].support);
  EXPECT_EQ(1u, m[2].support);
}

TEST(ConfusionMatrixTest, MacroIsTheMeanOverAllClasses) {
  const ClassMetrics m = Example().macro();
  EXPECT_DOUBLE_EQ((2.0 / 4 + 1.0 / 2) / 3, m.precision);
  EXPECT_DOUBLE_EQ((2.0 / 3 + 1.0 / 2) / 3, m.recall);
  EXPECT_DOUBLE_EQ((4.0 / 7 + 1.0 / 2) / 3, m.f1);
  EXPECT_EQ(6u, m.support);
}

TEST(ConfusionMatrixTest, ClassWithoutExamplesCountsAsZeroInTheMean) {
  ConfusionMatrix matrix(4);
  matrix.Add(0, 0);
  EXPECT_DOUBLE_EQ(0.25, matrix.macro().f1);
  EXPECT_DOUBLE_EQ(1.0, matrix.accuracy());
}

TEST(ConfusionMatrixTest, EmptyIsZeroEverywhere) {
  EXPECT_EQ(0, ConfusionMatrix(3).accuracy());
  EXPECT_EQ(0, ConfusionMatrix(3).macro().f1);
}

TEST(ConfusionMatrixTest, PartsAddUp) {
  ConfusionMatrix twice = Example();
  twice.Merge(Example());
  EXPECT_EQ(12u, twice.total());
  EXPECT_DOUBLE_EQ(Example().macro().f1, twice.macro().f1);
}

TEST(ConfusionMatrixTest, BatchesOfProbabilities) {
  const float softmax[] = {0.1f, 0.7f, 0.2f, 0.5f, 0.1f, 0.4f};
  const int32_t labels[] = {1, 2};
  ConfusionMatrix three(3);
  three.AddBatch(softmax, 3, labels, 2);
  EXPECT_EQ(1u, three.count(1, 1));
  EXPECT_EQ(1u, three.count(2, 0));
  const float sigmoid[] = {0.5f, 0.51f};
  const int32_t bits[] = {0, 1};
  ConfusionMatrix two(2);
  two.AddBatch(sigmoid, 1, bits, 2);
  EXPECT_EQ(1u, two.count(0, 0)) << "p > 0.5, not p >= 0.5";
  EXPECT_EQ(1u, two.count(1, 1));
}

TEST(PredictedClassTest, FirstLargestWins) {
  const float tie[] = {0.2f, 0.4f, 0.4f};
  EXPECT_EQ(1u, PredictedClass(tie, 3));
  const float nan[] = {0.9f, std::numeric_limits<float>::quiet_NaN(), 0.95f};
  EXPECT_EQ(1u, PredictedClass(nan, 3));
  EXPECT_EQ(0u, PredictedClass(nan + 1, 1));
}

}  // namespace
}  // namespace tributary::nn
