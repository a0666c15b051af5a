#include "common/learning/learning_rate.h"

#include <gtest/gtest.h>

namespace tributary::learning {
namespace {

v1::TrainPlan Plan(double rate, double decay) {
  v1::TrainPlan plan;
  plan.set_learning_rate(rate);
  plan.set_learning_rate_decay(decay);
  return plan;
}

TEST(LearningRateTest, DecaysOncePerCommittedRound) {
  EXPECT_EQ(LearningRateAfter(Plan(0.8, 0.5), 0), 0.8);
  EXPECT_EQ(LearningRateAfter(Plan(0.8, 0.5), 1), 0.4);
  EXPECT_EQ(LearningRateAfter(Plan(0.8, 0.5), 3), 0.1);
}

TEST(LearningRateTest, UnsetDecayMeansNone) { EXPECT_EQ(LearningRateAfter(Plan(0.8, 0), 1000), 0.8); }

TEST(LearningRateTest, AnEndlessRunTakesNoTime) {
  EXPECT_EQ(LearningRateAfter(Plan(0.8, 1), ~uint64_t{0}), 0.8);
  EXPECT_EQ(LearningRateAfter(Plan(0.8, 0.5), ~uint64_t{0}), 0);
}

}  // namespace
}  // namespace tributary::learning
