// Network::TrainStep: the fused pass against its three parts, to the bit.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/nn/engine.h"
#include "common/nn/network.h"
#include "common/nn/optimizer.h"
#include "tests/common/nn/engines.h"
#include "tests/common/nn/models.h"

namespace tributary::nn {
namespace {

constexpr Seed kSeed = {3};

struct Trained {
  std::vector<float> parameters;
  std::vector<double> losses;
  bool operator==(const Trained&) const = default;
};

Batch Part(const ModelDescription& model, const Examples& examples, size_t first, size_t n) {
  Batch batch;
  batch.x = examples.x.data() + first * model.input().size();
  batch.n = n;
  batch.labels = examples.labels.data() + first;
  batch.targets = examples.targets.data() + first * model.output().size();
  return batch;
}

// Three steps of 5, 5 and 3 examples.
Trained Train(const ModelDescription& model, OptimizerKind kind, const std::string& isa, int threads, bool fused) {
  const Examples examples(model, 13, 7);
  auto network =
      Network::Create(model, {.max_batch = 5, .threads = threads, .gradients = !fused, .isa = isa.c_str()}).value();
  auto optimizer =
      Optimizer::Create(model, {.kind = kind, .weight_decay = 0.01f, .threads = threads, .isa = isa.c_str()}).value();
  network->InitializeGlorot(kSeed);
  network->SetDropoutSeed(kSeed);
  Trained trained;
  for (uint64_t step = 0; step < 3; ++step) {
    const Batch batch = Part(model, examples, 5 * step, step < 2 ? 5 : 3);
    if (fused) {
      trained.losses.push_back(network->TrainStep(batch, {.step = step}, 0.05f, optimizer.get()).loss_sum);
      continue;
    }
    network->ZeroGradients();
    trained.losses.push_back(network->TrainBatch(batch, {.step = step}).loss_sum);
    optimizer->Step(network->parameters(), network->gradients(), 0.05f);
  }
  trained.parameters.assign(network->parameters().begin(), network->parameters().end());
  return trained;
}

TEST(TrainStepTest, GivesTheBitsOfGradientsThenStepOnEveryIsaAndThreadCount) {
  for (const NamedModel& named : SmallModels()) {
    const ModelDescription model = Model(named.text);
    for (const std::string& isa : SupportedIsas()) {
      for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kMomentum, OptimizerKind::kAdam}) {
        const Trained want = Train(model, kind, isa, 1, false);
        for (const int threads : kManyThreads) {
          EXPECT_EQ(want, Train(model, kind, isa, threads, true)) << named.name << " " << isa << " " << threads;
        }
      }
    }
  }
}

TEST(TrainStepTest, ALayerOfManyPanelsGivesTheSameBits) {
  // 700 units: panels of 23 rows, the last one ragged.
  const ModelDescription model = Model(R"(input: 130 layers { dense { units: 700 activation: ACTIVATION_RELU } }
      layers { dense { units: 150 } } layers { dense { units: 3 activation: ACTIVATION_SOFTMAX } }
      loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY)");
  for (const std::string& isa : SupportedIsas()) {
    const Trained want = Train(model, OptimizerKind::kAdam, isa, 1, false);
    for (const int threads : kManyThreads) {
      EXPECT_EQ(want, Train(model, OptimizerKind::kAdam, isa, threads, true)) << isa << " " << threads;
    }
  }
}

TEST(TrainStepTest, ALossThatIsNotFiniteLeavesTheParametersAlone) {
  const ModelDescription model = Model(SmallModels()[1].text);
  Examples examples(model, 5, 7);
  examples.x[3] = std::numeric_limits<float>::quiet_NaN();
  auto network = Network::Create(model, {.max_batch = 5, .gradients = false}).value();
  auto optimizer = Optimizer::Create(model, {}).value();
  network->InitializeGlorot(kSeed);
  const std::vector<float> before(network->parameters().begin(), network->parameters().end());
  EXPECT_TRUE(std::isnan(network->TrainStep(Part(model, examples, 0, 5), {}, 0.1f, optimizer.get()).loss_sum));
  EXPECT_EQ(before, std::vector<float>(network->parameters().begin(), network->parameters().end()));
  EXPECT_EQ(0u, optimizer->steps());
}

}  // namespace
}  // namespace tributary::nn
