// Against numbers that PyTorch's tensor operations gave (tests/golden/make_nn_golden.py): outputs, losses, gradients
// and three steps of each optimiser, with padding, strides, H != W and C_in != C_out that do not forgive a swapped
// axis.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "common/nn/engine.h"
#include "common/nn/network.h"
#include "common/nn/optimizer.h"
#include "tests/common/nn/models.h"

namespace tributary::nn {
namespace {

using Arrays = std::map<std::string, std::vector<double>>;

Arrays ReadGolden() {
  Arrays arrays;
  std::ifstream file("tests/golden/nn.txt");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    size_t count = 0;
    words >> name >> count;
    std::vector<double>& values = arrays[name];
    for (double v; words >> v;) values.push_back(v);
    EXPECT_EQ(count, values.size()) << name;
  }
  return arrays;
}

struct GoldenCase {
  const char* name;
  size_t model;  // in SmallModels()
};

class GoldenTest : public testing::TestWithParam<std::tuple<GoldenCase, std::string>> {
 protected:
  GoldenTest() : arrays_(ReadGolden()), model_(MakeModel()) {
    x_ = Floats("x");
    targets_ = Floats("y");
    for (const float y : targets_) labels_.push_back(static_cast<int32_t>(y));
    batch_.x = x_.data();
    batch_.n = 3;
    batch_.labels = labels_.data();
    batch_.targets = targets_.data();
    network_ = Network::Create(model_, {.max_batch = 3, .isa = isa()}).value();
    Reset();
  }

  static ModelDescription MakeModel() {
    const std::string name = std::get<0>(GetParam()).name;
    if (name == "regression") {
      return Model(R"(input: 6 layers { dense { units: 7 activation: ACTIVATION_TANH } } layers { dense { units: 3 } }
                      loss: LOSS_MEAN_SQUARED_ERROR)");
    }
    return Model(SmallModels()[std::get<0>(GetParam()).model].text);
  }
  static const char* isa() { return std::get<1>(GetParam()).c_str(); }

  const std::vector<double>& Array(const std::string& name) {
    return arrays_[std::string(std::get<0>(GetParam()).name) + "/" + name];
  }
  std::vector<float> Floats(const std::string& name) { return {Array(name).begin(), Array(name).end()}; }
  void Reset() {
    const std::vector<float> start = Floats("parameters");
    ASSERT_EQ(model_.parameter_count(), start.size());
    std::copy(start.begin(), start.end(), network_->parameters().begin());
  }
  static void ExpectNear(const std::vector<double>& want, std::span<const float> got, double tolerance) {
    ASSERT_EQ(want.size(), got.size());
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(want[i], static_cast<double>(got[i]), tolerance * (1 + std::fabs(want[i]))) << "element " << i;
    }
  }

  Arrays arrays_;
  const ModelDescription model_;
  std::vector<float> x_, targets_;
  std::vector<int32_t> labels_;
  Batch batch_;
  std::unique_ptr<Network> network_;
};

TEST_P(GoldenTest, OutputsAndLoss) {
  std::vector<float> outputs(3 * model_.output().size());
  const BatchResult result = network_->EvaluateBatch(batch_, outputs.data());
  ExpectNear(Array("want_output"), outputs, 1e-6);
  EXPECT_NEAR(Array("want_loss_sum").at(0), result.loss_sum, 1e-5);
}

TEST_P(GoldenTest, Gradients) {
  network_->TrainBatch(batch_, {});
  ExpectNear(Array("want_gradients"), network_->gradients(), 1e-6);
}

TEST_P(GoldenTest, ThreeStepsOfEachOptimizer) {
  const std::pair<OptimizerKind, const char*> kinds[] = {
      {OptimizerKind::kSgd, "sgd"}, {OptimizerKind::kMomentum, "momentum"}, {OptimizerKind::kAdam, "adam"}};
  for (const auto& [kind, name] : kinds) {
    SCOPED_TRACE(name);
    Reset();
    auto optimizer = Optimizer::Create(model_, {.kind = kind, .isa = isa()}).value();
    for (int step = 0; step < 3; ++step) {
      network_->ZeroGradients();
      network_->TrainBatch(batch_, {});
      optimizer->Step(network_->parameters(), network_->gradients(), 0.05f);
    }
    // Adam divides a gradient by its own size: a tiny one's rounding shows in full.
    ExpectNear(Array(std::string("want_after_3_") + name), network_->parameters(),
               kind == OptimizerKind::kAdam ? 2e-5 : 2e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenTest,
                         testing::Combine(testing::Values(GoldenCase{"odd_conv", 2}, GoldenCase{"two_convs", 3},
                                                          GoldenCase{"regression", 0}),
                                          testing::ValuesIn(SupportedIsas())),
                         [](const auto& variant) {
                           return std::string(std::get<0>(variant.param).name) + "_" + std::get<1>(variant.param);
                         });

}  // namespace
}  // namespace tributary::nn
