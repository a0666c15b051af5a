// The trainer on real images: the built-in synthetic digits, and MNIST where TRIBUTARY_MNIST_DIR names its folder.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "common/data/load.h"
#include "common/data/partition.h"
#include "common/learning/evaluation.h"
#include "common/learning/initial_model.h"
#include "common/learning/local_trainer.h"
#include "common/learning/simulator.h"
#include "tests/common/learning/toy_problem.h"
#include "tests/support/status_matchers.h"

namespace tributary::learning {
namespace {

v1::TrainPlan OneEpochOfAdam() {
  return FromText<v1::TrainPlan>(
      "epochs: 1 batch_size: 32 optimizer: OPTIMIZER_ADAM learning_rate: 0.001 precision: 'float32'");
}

v1::RunPlan TenClients(uint32_t rounds) {
  v1::RunPlan plan;
  plan.set_name("digits");
  plan.set_rounds(rounds);
  plan.set_seed(1);
  *plan.mutable_model() = *nn::ModelDescription::Preset("keras-cnn");
  *plan.mutable_train() = OneEpochOfAdam();
  plan.mutable_round()->set_clients(10);
  plan.mutable_round()->set_min_clients(10);
  plan.mutable_aggregate()->set_strategy("fedavg");
  plan.mutable_aggregate()->set_server_learning_rate(1.0);
  plan.mutable_evaluate()->set_every(rounds);
  return plan;
}

data::Dataset Load(const std::string& path, data::Split split) {
  data::LoadOptions options;
  options.split = split;
  auto loaded = data::LoadData(path, options);
  EXPECT_OK(loaded);
  return loaded.ok() ? std::move(loaded->dataset) : data::Dataset();
}

TEST(SyntheticDigitsTest, KerasCnnLearnsThemLocally) {
  const data::Dataset train = Load("synthetic:6000:1", data::Split::kTrain);
  const data::Dataset test = Load("synthetic:1000:2", data::Split::kTest);
  const nn::ModelDescription model = Describe(*nn::ModelDescription::Preset("keras-cnn"));
  const v1::TrainPlan plan = OneEpochOfAdam();
  ASSERT_OK_AND_ASSIGN(std::vector<float> parameters, InitialParameters(model, 1));
  ASSERT_OK_AND_ASSIGN(const LocalResult r, TrainLocally({.model = model,
                                                          .base = parameters,
                                                          .data = train,
                                                          .plan = plan,
                                                          .learning_rate = 0.001,
                                                          .run_seed = 1,
                                                          .round = 1,
                                                          .client_name = "alpha"}));
  for (size_t i = 0; i < parameters.size(); ++i) parameters[i] += r.delta[i];
  ASSERT_OK_AND_ASSIGN(const Evaluation e, Evaluate(model, parameters, test));
  EXPECT_GT(*e.accuracy, 0.8);
  EXPECT_EQ(e.examples, 1000u);
}

TEST(MnistTest, TenClientsReachNinetySixPerCentInTwoRounds) {
  const char* folder = std::getenv("TRIBUTARY_MNIST_DIR");
  if (folder == nullptr) GTEST_SKIP() << "TRIBUTARY_MNIST_DIR is not set";
  const data::Dataset train = Load(folder, data::Split::kTrain), test = Load(folder, data::Split::kTest);
  ASSERT_EQ(train.count, 60000u);
  ASSERT_EQ(test.count, 10000u);
  ASSERT_OK_AND_ASSIGN(const data::Parts parts, data::Partition(train.labels, 10, "iid", 10, 1));
  const v1::RunPlan plan = TenClients(2);
  SimulatedRound last;
  ASSERT_OK(Simulate({.plan = plan, .train = train, .parts = parts, .test = &test, .threads = 2},
                     [&last](const SimulatedRound& round, std::span<const float>) {
                       last = round;
                       return absl::OkStatus();
                     })
                .status());
  EXPECT_GT(last.test_accuracy.value(), 0.96);
  EXPECT_EQ(last.examples, 60000u);
}

}  // namespace
}  // namespace tributary::learning
