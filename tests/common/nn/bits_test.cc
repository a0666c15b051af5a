// The bits of a trained network depend on parameters, data, seed and engine, and on nothing else: not on the number of
// threads, nor on which of them came first.
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <latch>
#include <set>

#include "common/nn/kernels/parallel.h"
#include "tests/common/nn/engines.h"
#include "tests/common/nn/whole_network.h"

namespace tributary::nn {
namespace {

// A probe on all parallel loops while it lives.
class Probed {
 public:
  explicit Probed(bool reverse = false) {
    probe_.reverse = reverse;
    parallel_probe = &probe_;
  }
  ~Probed() { parallel_probe = nullptr; }
  int largest_team() const { return probe_.largest_team; }

 private:
  ParallelProbe probe_;
};

// Models whose every loop is cut into more tasks than there are threads, at 32 examples.
std::vector<std::pair<const char*, ModelDescription>> SplittingModels() {
  return {{"keras-cnn", PresetModel("keras-cnn")},
          {"wide convolutions", Model(R"(input: 9 input: 11 input: 3
              layers { conv2d { filters: 33 kernel_height: 3 kernel_width: 3 padding: PADDING_SAME
                                activation: ACTIVATION_RELU } }
              layers { max_pool2d { pool_height: 2 pool_width: 2 } } layers { dropout { rate: 0.3 } }
              layers { conv2d { filters: 40 kernel_height: 5 kernel_width: 3 padding: PADDING_SAME
                                activation: ACTIVATION_TANH } }
              layers { flatten {} } layers { dense { units: 300 activation: ACTIVATION_RELU } }
              layers { dense { units: 10 activation: ACTIVATION_SOFTMAX } } loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY)")},
          {"panels", Model(R"(input: 310 layers { dense { units: 700 activation: ACTIVATION_RELU } }
              layers { dense { units: 290 activation: ACTIVATION_SIGMOID } }
              layers { dense { units: 1 activation: ACTIVATION_SIGMOID } } loss: LOSS_BINARY_CROSSENTROPY)")}};
}

class BitsTest : public testing::TestWithParam<Engine> {
 protected:
  // Parameters after fused steps on 32 and 9 examples and an unfused one on 73, in parts of 32, 32 and 9.
  std::vector<float> Train(const ModelDescription& model, int threads, uint8_t seed = 1) {
    auto network =
        Network::Create(
            model,
            {.max_batch = 32, .threads = threads, .precision = GetParam().precision, .isa = GetParam().isa.c_str()})
            .value();
    auto adam = Optimizer::Create(model, {.kind = OptimizerKind::kAdam, .threads = threads}).value();
    network->InitializeGlorot(Seed{seed});
    network->SetDropoutSeed(Seed{seed});
    uint64_t step = 0;
    for (const size_t n : {32, 9}) {
      network->TrainStep(ToBatch(Examples(model, n, 5 + step)), {.step = step}, 0.01f, adam.get());
      ++step;
    }
    const Examples examples(model, 73, 5);
    network->ZeroGradients();
    network->TrainBatch(ToBatch(examples), {.step = step});
    adam->Step(network->parameters(), network->gradients(), 0.01f);
    return {network->parameters().begin(), network->parameters().end()};
  }
};

TEST_P(BitsTest, AreTheSameOnAnyNumberOfThreadsThatReallyRun) {
  for (const auto& [name, model] : SplittingModels()) {
    const std::vector<float> want = Train(model, 1);
    for (const int threads : kManyThreads) {
      const Probed probed;
      EXPECT_TRUE(want == Train(model, threads)) << name << " on " << threads;
      EXPECT_EQ(threads == 1 ? 0 : threads, probed.largest_team()) << name;
    }
  }
}

TEST_P(BitsTest, AreTheSameWhenTheTasksRunBackwards) {
  for (const auto& [name, model] : SplittingModels()) {
    const std::vector<float> want = Train(model, 1);
    for (const int threads : kManyThreads) {
      const Probed probed(true);
      EXPECT_TRUE(want == Train(model, threads)) << name << " on " << threads;
    }
  }
}

TEST_P(BitsTest, AreOthersForAnotherSeed) {
  for (const auto& [name, model] : SplittingModels()) {
    EXPECT_FALSE(Train(model, 1, 1) == Train(model, 1, 2)) << name;
  }
}

TRB_ON_EVERY_ENGINE(BitsTest);

TEST(EnginesTest, OfDifferentProductsGiveDifferentBits) {
  // The probe of the probes: bits that never differ would show nothing.
  const ModelDescription model = SplittingModels()[0].second;
  const Examples examples(model, 9, 5);
  std::set<std::vector<float>> distinct;
  for (const Engine& engine : Engines()) {
    auto network =
        Network::Create(model, {.max_batch = 9, .precision = engine.precision, .isa = engine.isa.c_str()}).value();
    network->InitializeGlorot(Seed{1});
    network->TrainBatch(ToBatch(examples), {});
    distinct.insert({network->gradients().begin(), network->gradients().end()});
  }
  EXPECT_GE(distinct.size(), 1 + SupportedIsas(Precision::kBf16).size());
}

// --- The loop itself.

TEST(ParallelForTest, RunsEveryTaskOnceInEitherOrder) {
  for (const bool reverse : {false, true}) {
    const Probed probed(reverse);
    for (const int threads : kManyThreads) {
      std::vector<int> runs(100);
      std::vector<size_t> order;
      ParallelFor(threads, runs.size(), [&](size_t task, size_t worker) {
        ASSERT_LT(worker, static_cast<size_t>(threads));
        ++runs[task];
        if (threads == 1) order.push_back(task);
      });
      EXPECT_EQ(std::vector<int>(100, 1), runs);
      if (threads == 1) {
        EXPECT_EQ(reverse ? 99u : 0u, order.front());
      }
    }
  }
}

#if !defined(__SANITIZE_THREAD__)
TEST(ParallelForTest, SevenThreadsAreSevenThatWorkAtTheSameTime) {
  std::latch all_there(7);
  std::vector<int> teams(7);
  std::vector<size_t> workers(7);
  ParallelFor(7, 7, [&](size_t task, size_t worker) {
    teams[task] = omp_get_num_threads();
    workers[task] = worker;
    if (teams[task] == 7) all_there.arrive_and_wait();  // no thread can run two tasks
  });
  EXPECT_EQ(std::vector<int>(7, 7), teams);
  std::sort(workers.begin(), workers.end());
  EXPECT_EQ((std::vector<size_t>{0, 1, 2, 3, 4, 5, 6}), workers);
}
#endif

}  // namespace
}  // namespace tributary::nn
