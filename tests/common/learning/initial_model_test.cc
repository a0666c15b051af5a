#include "common/learning/initial_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/common/learning/toy_problem.h"
#include "tests/support/status_matchers.h"

namespace tributary::learning {
namespace {

TEST(InitialModelTest, SameSeedGivesSameBitsAnotherSeedOthers) {
  const nn::ModelDescription model = Describe(QuadrantModel());
  ASSERT_OK_AND_ASSIGN(const auto a, InitialParameters(model, 1));
  ASSERT_OK_AND_ASSIGN(const auto b, InitialParameters(model, 1));
  ASSERT_OK_AND_ASSIGN(const auto c, InitialParameters(model, 2));
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

TEST(InitialModelTest, KernelsAreGlorotUniformAndBiasesZero) {
  const nn::ModelDescription model = Describe(QuadrantModel());
  ASSERT_OK_AND_ASSIGN(const auto parameters, InitialParameters(model, 1));
  ASSERT_EQ(parameters.size(), model.parameter_count());
  const nn::LayerSpec& conv = model.layers().front();
  const float limit = std::sqrt(6.0f / (9 * 1 + 9 * 4));  // fan in + fan out of a 3x3 kernel, 1 -> 4 channels
  float largest = 0;
  for (size_t i = 0; i < conv.kernel_size; ++i) largest = std::max(largest, std::fabs(parameters[i]));
  EXPECT_LE(largest, limit);
  EXPECT_GT(largest, limit / 2);
  for (size_t i = 0; i < conv.bias_size; ++i) EXPECT_EQ(parameters[conv.kernel_size + i], 0);
}

}  // namespace
}  // namespace tributary::learning
