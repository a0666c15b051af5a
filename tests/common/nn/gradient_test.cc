// The reference network's gradients against finite differences, in double: every layer, activation and loss, and whole
// networks. The fast network is held against the reference in network_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numeric>

#include "tests/common/nn/models.h"
#include "tests/common/nn/reference_network.h"

namespace tributary::nn {
namespace {

constexpr double kStep = 1e-6;
constexpr double kRelative = 1e-7;
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

  // Each slope within 1e-7 of the gradient and the noise of a difference of two losses; all of them together within
  // 1e-7, noise and all.
  void CheckSlopes(const double* gradients, double* at, size_t n, const std::string& name) {
    const double noise = 8 * DBL_EPSILON * (1 + std::fabs(Loss())) / kStep;
    double missed = 0, length = 0;
    for (size_t i = 0; i < n; i += std::max<size_t>(1, n / 200)) {
      const double slope = Slope(at + i);
      EXPECT_NEAR(slope, gradients[i], kRelative * std::fabs(gradients[i]) + noise) << name << " " << i;
      missed += (slope - gradients[i]) * (slope - gradients[i]);
      length += gradients[i] * gradients[i];
    }
    // An array whose gradients are next to nothing shows the noise alone.
    if (length > 1e-4) {
      EXPECT_LE(std::sqrt(missed), kRelative * std::sqrt(length)) << name;
    }
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
  for (const ParameterArray& array : model_.parameter_arrays()) {
    CheckSlopes(gradients.data() + array.offset, network_.parameters.data() + array.offset, array.size, array.name);
  }
}

TEST_P(GradientTest, InputsAgreeWithFiniteDifferences) {
  Loss();
  const std::vector<double> gradients = network_.input_gradient;
  CheckSlopes(gradients.data(), x_.data(), x_.size(), "input");
}

// Ends that no small model has.
std::vector<NamedModel> AllModels() {
  std::vector<NamedModel> models = SmallModels();
  models.push_back({"RegressionSigmoidEnd", R"(input: 4 layers { dense { units: 9 activation: ACTIVATION_RELU } }
      layers { dense { units: 3 activation: ACTIVATION_SIGMOID } } loss: LOSS_MEAN_SQUARED_ERROR)"});
  models.push_back({"RegressionReluEnd", R"(input: 4 layers { dense { units: 9 activation: ACTIVATION_TANH } }
      layers { dense { units: 5 activation: ACTIVATION_RELU } } loss: LOSS_MEAN_SQUARED_ERROR)"});
  models.push_back({"RegressionSoftmaxImageEnd", R"(input: 4 input: 5 input: 2
      layers { conv2d { filters: 3 kernel_height: 2 kernel_width: 3 padding: PADDING_SAME
                        activation: ACTIVATION_SOFTMAX } } loss: LOSS_MEAN_SQUARED_ERROR)"});
  models.push_back({"RegressionPoolEnd", R"(input: 5 input: 4 input: 2
      layers { conv2d { filters: 3 kernel_height: 2 kernel_width: 2 activation: ACTIVATION_SIGMOID } }
      layers { max_pool2d { pool_height: 2 pool_width: 2 stride_height: 1 stride_width: 1 } }
      layers { avg_pool2d { pool_height: 3 pool_width: 2 padding: PADDING_SAME } } loss: LOSS_MEAN_SQUARED_ERROR)"});
  return models;
}

INSTANTIATE_TEST_SUITE_P(Models, GradientTest, testing::ValuesIn(AllModels()),
                         [](const auto& variant) { return std::string(variant.param.name); });

// --- Whole networks: a batch, and every parameter moved at once.

class WholeNetwork {
 public:
  WholeNetwork(const ModelDescription& model, size_t n)
      : model_(model), n_(n), examples_(model, n, kSeed), dropout_(uint64_t{5}), network_(model) {
    x_.assign(examples_.x.begin(), examples_.x.end());
    targets_.assign(examples_.targets.begin(), examples_.targets.end());
    network_.dropout = &dropout_;
    for (const float v : RandomFloats(model.parameter_count(), kSeed + 3))
      from_.push_back(0.1 * static_cast<double>(v));
    network_.parameters = from_;
    MeanLoss();
    gradients_ = network_.gradients;
    ChooseDirection();
  }

  // The slope of the mean loss along the direction, and what the gradients say it is.
  double Measured(double step) { return (LossAt(step) - LossAt(-step)) / (2 * step); }
  double Computed() const { return std::inner_product(gradients_.begin(), gradients_.end(), direction_.begin(), 0.0); }

 private:
  // Half where the loss grows fastest, so that there is something to measure; half anywhere.
  void ChooseDirection() {
    const std::vector<float> anywhere = RandomFloats(from_.size(), kSeed + 4);
    const double length = std::sqrt(std::inner_product(gradients_.begin(), gradients_.end(), gradients_.begin(), 0.0));
    const double spread = std::sqrt(static_cast<double>(from_.size()) / 3);
    for (size_t i = 0; i < from_.size(); ++i) {
      direction_.push_back(gradients_[i] / length + static_cast<double>(anywhere[i]) / spread);
    }
  }
  double MeanLoss() {
    double loss = 0;
    for (size_t i = 0; i < n_; ++i) {
      const double* target = targets_.data() + i * model_.output().size();
      loss += network_.Train(x_.data() + i * model_.input().size(), examples_.labels[i], target, i, n_);
    }
    return loss / static_cast<double>(n_);
  }
  double LossAt(double distance) {
    for (size_t i = 0; i < from_.size(); ++i) network_.parameters[i] = from_[i] + distance * direction_[i];
    return MeanLoss();
  }

  const ModelDescription model_;
  const size_t n_;
  const Examples examples_;
  const Rng dropout_;
  ReferenceNetwork<double> network_;
  std::vector<double> x_, targets_, from_, gradients_, direction_;
};

TEST(WholeNetworkGradientTest, AgreesWithTheLossAlongADirection) {
  for (const NamedModel& named : AllModels()) {
    WholeNetwork network(Model(named.text), 5);
    EXPECT_NEAR(network.Measured(kStep), network.Computed(), kRelative * std::fabs(network.Computed())) << named.name;
  }
}

// With so many units a step must be short, or some ReLU turns on or off within it.
TEST(WholeNetworkGradientTest, OfThePresetsAgreesWithTheLossAlongADirection) {
  for (const char* preset : {"keras-cnn", "fedavg-cnn"}) {
    WholeNetwork network(PresetModel(preset), 2);
    EXPECT_NEAR(network.Measured(1e-7), network.Computed(), kRelative * std::fabs(network.Computed())) << preset;
  }
}

}  // namespace
}  // namespace tributary::nn
