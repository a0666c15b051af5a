// The reference network's gradients against finite differences, in double: every layer, activation and loss, and whole
// networks. The fast network is held against the reference in network_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/common/nn/models.h"
#include "tests/common/nn/reference_network.h"

namespace tributary::nn {
namespace {

constexpr double kStep = 1e-6;
constexpr uint64_t kSeed = 11;

class GradientTest : public testing::TestWithParam<NamedModel> {
 protected:
  GradientTest()
      : model_(Model(GetParam().text)), network_(model_), examples_(model_, 1, kSeed), dropout_(uint64_t{5}) {
    const std::vector<float> start = RandomFloats(model_.parameter_count(), kSeed + 3);
    for (size_t i = 0; i < start.size(); ++i) network_.parameters[i] = 0.5 * static_cast<double>(start[i]);
    x_.assign(examples_.x.begin(), examples_.x.end());
    targets_.assign(examples_.targets.begin(), examples_.targets.end());
    network_.dropout = &dropout_;
  }

  double Loss() { return network_.Train(x_.data(), examples_.labels[0], targets_.data(), 0, 1); }

  double Slope(double* at) {
    const double saved = *at;
    *at = saved + kStep;
    const double above = Loss();
    *at = saved - kStep;
    const double below = Loss();
    *at = saved;
    return (above - below) / (2 * kStep);
  }

  const ModelDescription model_;
  ReferenceNetwork<double> network_;
  const Examples examples_;
  const Rng dropout_;
  std::vector<double> x_, targets_;
};

TEST_P(GradientTest, ParametersAgreeWithFiniteDifferences) {
  Loss();
  const std::vector<double> gradients = network_.gradients;
  const size_t stride = std::max<size_t>(1, gradients.size() / 400);
  for (size_t i = 0; i < gradients.size(); i += stride) {
    EXPECT_NEAR(Slope(&network_.parameters[i]), gradients[i], 1e-7 * (1 + std::fabs(gradients[i])))
        << "parameter " << i;
  }
}

TEST_P(GradientTest, InputsAgreeWithFiniteDifferences) {
  Loss();
  const std::vector<double> gradients = network_.input_gradient;
  const size_t stride = std::max<size_t>(1, gradients.size() / 200);
  for (size_t i = 0; i < gradients.size(); i += stride) {
    EXPECT_NEAR(Slope(&x_[i]), gradients[i], 1e-7 * (1 + std::fabs(gradients[i]))) << "input " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(SmallModels, GradientTest, testing::ValuesIn(SmallModels()),
                         [](const auto& variant) { return std::string(variant.param.name); });

}  // namespace
}  // namespace tributary::nn
