#include "common/nn/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/nn/network.h"
#include "tests/common/nn/models.h"

namespace tributary::nn {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// 2 weights, 1 bias.
ModelDescription Line() { return Model("input: 2 layers { dense { units: 1 } } loss: LOSS_MEAN_SQUARED_ERROR"); }

std::unique_ptr<Optimizer> Make(const Optimizer::Options& options) {
  return Optimizer::Create(Line(), options).value();
}

TEST(OptimizerTest, WorkedExampleOfGradientDescent) {
  // d/dtheta (y - theta x)^2 = -2 x (y - theta x): from theta 0, x 1, y 2, rate 0.1 the next theta is +0.4.
  const ModelDescription model = Model("input: 1 layers { dense { units: 1 } } loss: LOSS_MEAN_SQUARED_ERROR");
  auto network = Network::Create(model, {.max_batch = 1}).value();
  auto sgd = Optimizer::Create(model, {}).value();
  const float x = 1, y = 2;
  Batch batch;
  batch.x = &x, batch.n = 1, batch.targets = &y;
  EXPECT_FLOAT_EQ(4.0f, static_cast<float>(network->TrainBatch(batch, {}).loss_sum));
  EXPECT_FLOAT_EQ(-4.0f, network->gradients()[0]);
  sgd->Step(network->parameters(), network->gradients(), 0.1f);
  EXPECT_FLOAT_EQ(0.4f, network->parameters()[0]);
}

TEST(OptimizerTest, MomentumAddsUp) {
  auto momentum = Make({.kind = OptimizerKind::kMomentum});
  std::vector<float> w = {0, 0, 0}, g = {1, 1, 1};
  momentum->Step(w, g, 0.1f);
  EXPECT_FLOAT_EQ(-0.1f, w[0]);
  momentum->Step(w, g, 0.1f);
  EXPECT_FLOAT_EQ(-0.1f - 0.19f, w[0]);
  EXPECT_EQ(2u, momentum->steps());
}

TEST(OptimizerTest, AdamsFirstStepIsTheLearningRate) {
  auto adam = Make({.kind = OptimizerKind::kAdam});
  std::vector<float> w = {0, 0, 0}, g = {0.5f, -2, 1e-3f};
  adam->Step(w, g, 0.01f);
  // lr sqrt(1 - b2) / (1 - b1) (1 - b1) g / (sqrt((1 - b2) g^2) + 1e-7)
  for (size_t i = 0; i < 3; ++i) {
    const double grad = g[i], root = std::sqrt(0.001);
    EXPECT_NEAR(-0.01 * root * grad / (root * std::fabs(grad) + 1e-7), static_cast<double>(w[i]), 5e-9) << i;
  }
}

TEST(OptimizerTest, StateIsFreshInANewOptimizer) {
  std::vector<float> first = {0, 0, 0}, second = first, g = {1, 2, 3};
  auto a = Make({.kind = OptimizerKind::kAdam});
  a->Step(first, g, 0.1f);
  auto b = Make({.kind = OptimizerKind::kAdam});
  b->Step(second, g, 0.1f);
  EXPECT_EQ(first, second);
}

TEST(OptimizerTest, WeightDecayTakesWeightsButNotBiases) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kMomentum, OptimizerKind::kAdam}) {
    auto optimizer = Make({.kind = kind, .weight_decay = 0.5f});
    std::vector<float> w = {1, -2, 4}, g = {0, 0, 0};
    optimizer->Step(w, g, 0.1f);
    EXPECT_FLOAT_EQ(0.95f, w[0]);
    EXPECT_FLOAT_EQ(-1.9f, w[1]);
    EXPECT_EQ(4.0f, w[2]);
  }
}

TEST(OptimizerTest, LongGradientsAreScaledToTheClipNorm) {
  auto optimizer = Make({.clip_norm = 1});
  std::vector<float> w = {0, 0, 0}, g = {3, 0, 4};
  optimizer->Step(w, g, 1);
  EXPECT_FLOAT_EQ(-0.6f, w[0]);
  EXPECT_FLOAT_EQ(-0.8f, w[2]);
}

TEST(OptimizerTest, ShortGradientsAreLeftAlone) {
  auto optimizer = Make({.clip_norm = 6});
  std::vector<float> w = {0, 0, 0}, g = {3, 0, 4};
  optimizer->Step(w, g, 1);
  EXPECT_EQ(-3.0f, w[0]);
}

TEST(OptimizerTest, ClippingHidesNeitherNanNorInfinity) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kMomentum, OptimizerKind::kAdam}) {
    for (const float bad : {kNan, std::numeric_limits<float>::infinity()}) {
      auto optimizer = Make({.kind = kind, .clip_norm = 1});
      std::vector<float> w = {0, 0, 0}, g = {3, bad, 4};
      optimizer->Step(w, g, 1);
      EXPECT_FALSE(std::isfinite(w[1]));
    }
  }
}

TEST(OptimizerTest, HugeGradientsAreClippedNotLost) {
  auto optimizer = Make({.clip_norm = 1});
  std::vector<float> w = {0, 0, 0}, g = {1e30f, 0, 0};  // its square is no float
  optimizer->Step(w, g, 1);
  EXPECT_NEAR(-1.0f, w[0], 1e-6f);
}

TEST(OptimizerTest, SameBitsForAnyNumberOfThreads) {
  const ModelDescription model = PresetModel("keras-cnn");
  const std::vector<float> start = RandomFloats(model.parameter_count(), 1);
  std::vector<float> first;
#if defined(__SANITIZE_THREAD__)
  const std::vector<int> counts = {1};
#else
  const std::vector<int> counts = {1, 2, 7};
#endif
  for (const int threads : counts) {
    auto optimizer = Optimizer::Create(
        model, {.kind = OptimizerKind::kAdam, .weight_decay = 0.1f, .clip_norm = 2, .threads = threads});
    std::vector<float> w = start, g = RandomFloats(model.parameter_count(), 2);
    for (int step = 0; step < 2; ++step) (*optimizer)->Step(w, g, 0.01f);
    if (first.empty()) first = w;
    EXPECT_TRUE(first == w) << threads;
  }
}

TEST(OptimizerTest, DenormalMomentsAreFlushed) {
  auto adam = Make({.kind = OptimizerKind::kAdam});
  std::vector<float> w = {1, 1, 1}, g = {1e-39f, 1e-39f, 1e-39f};
  adam->Step(w, g, 0.1f);
  EXPECT_EQ(1.0f, w[0]);
}

TEST(OptimizerTest, RefusesImpossibleOptions) {
  EXPECT_FALSE(Optimizer::Create(Line(), {.weight_decay = -1}).ok());
  EXPECT_FALSE(Optimizer::Create(Line(), {.weight_decay = kNan}).ok());
  EXPECT_FALSE(Optimizer::Create(Line(), {.clip_norm = -1}).ok());
  EXPECT_FALSE(Optimizer::Create(Line(), {.threads = 0}).ok());
  EXPECT_FALSE(Optimizer::Create(Line(), {.isa = "abacus"}).ok());
}

}  // namespace
}  // namespace tributary::nn
