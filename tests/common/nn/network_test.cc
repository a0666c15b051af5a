#include "common/nn/network.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>

#include "common/nn/engine.h"
#include "common/nn/kernels/parallel.h"
#include "common/nn/metrics.h"
#include "common/nn/optimizer.h"
#include "tests/common/nn/engines.h"
#include "tests/common/nn/models.h"
#include "tests/common/nn/reference_network.h"

namespace tributary::nn {
namespace {

constexpr uint64_t kSeed = 42;
constexpr Seed kDropoutSeed = {9, 8, 7};

std::unique_ptr<Network> MakeNetwork(const ModelDescription& model, Network::Options options) {
  auto network = Network::Create(model, options).value();
  const std::vector<float> start = RandomFloats(model.parameter_count(), kSeed);
  for (size_t i = 0; i < start.size(); ++i) network->parameters()[i] = 0.3f * start[i];
  network->SetDropoutSeed(kDropoutSeed);
  return network;
}

// --- Against the reference, on every instruction set of this CPU.

struct Variant {
  NamedModel model;
  std::string isa;
};

std::vector<Variant> Variants() {
  std::vector<Variant> all;
  for (const NamedModel& model : SmallModels()) {
    for (const std::string& isa : SupportedIsas()) all.push_back({model, isa});
  }
  return all;
}

class NetworkVariantTest : public testing::TestWithParam<Variant> {};

// The tolerance grows with the number of terms of the longest sum and with the largest gradient.
TEST_P(NetworkVariantTest, LossGradientsAndOutputsMatchTheReferenceInDouble) {
  const ModelDescription model = Model(GetParam().model.text);
  const Examples examples(model, 7, kSeed);
  auto network = MakeNetwork(model, {.max_batch = 7, .isa = GetParam().isa.c_str()});
  const BatchResult result = network->TrainBatch(ToBatch(examples), {.step = 3});

  ReferenceNetwork<double> reference(model);
  reference.parameters.assign(network->parameters().begin(), network->parameters().end());
  const Rng dropout(kDropoutSeed);
  reference.dropout = &dropout;
  reference.step = 3;
  double loss = 0;
  for (size_t i = 0; i < 7; ++i) {
    const std::vector<double> x(examples.x.begin() + static_cast<ptrdiff_t>(i * model.input().size()),
                                examples.x.begin() + static_cast<ptrdiff_t>((i + 1) * model.input().size()));
    const std::vector<double> target(
        examples.targets.begin() + static_cast<ptrdiff_t>(i * model.output().size()),
        examples.targets.begin() + static_cast<ptrdiff_t>((i + 1) * model.output().size()));
    loss += reference.Train(x.data(), examples.labels[i], target.data(), i, 7);
  }
  EXPECT_NEAR(loss, result.loss_sum, 1e-5 * (1 + loss));
  double largest = 0;
  for (const double g : reference.gradients) largest = std::max(largest, std::fabs(g));
  ASSERT_GT(largest, 1e-4);
  for (size_t i = 0; i < reference.gradients.size(); ++i) {
    ASSERT_NEAR(reference.gradients[i], static_cast<double>(network->gradients()[i]), 64 * FLT_EPSILON * largest)
        << "parameter " << i;
  }
}

TEST_P(NetworkVariantTest, EvaluationMatchesTheReferenceWithoutDropout) {
  const ModelDescription model = Model(GetParam().model.text);
  const Examples examples(model, 5, kSeed);
  auto network = MakeNetwork(model, {.max_batch = 3, .training = false, .isa = GetParam().isa.c_str()});
  const size_t out = model.output().size();
  std::vector<float> outputs(5 * out), predicted(5 * out);
  const BatchResult result = network->EvaluateBatch(ToBatch(examples), outputs.data());
  network->Predict(examples.x.data(), 5, predicted.data());
  EXPECT_EQ(outputs, predicted);

  ReferenceNetwork<double> reference(model);
  reference.parameters.assign(network->parameters().begin(), network->parameters().end());
  const std::vector<double> x(examples.x.begin(), examples.x.end());
  const std::vector<double> targets(examples.targets.begin(), examples.targets.end());
  double loss = 0;
  for (size_t i = 0; i < 5; ++i) {
    loss += reference.Train(x.data() + i * model.input().size(), examples.labels[i], targets.data() + i * out, i, 5);
    for (size_t j = 0; j < out; ++j) {
      EXPECT_NEAR(reference.output[j], static_cast<double>(outputs[i * out + j]),
                  3e-6 * (1 + std::fabs(reference.output[j])));
    }
  }
  EXPECT_NEAR(loss, result.loss_sum, 1e-5 * (1 + loss));
}

INSTANTIATE_TEST_SUITE_P(SmallModels, NetworkVariantTest, testing::ValuesIn(Variants()), [](const auto& variant) {
  return std::string(variant.param.model.name) + "_" + variant.param.isa;
});

// --- Same bits.

// Parameters after a few Adam steps, the last on a ragged batch.
std::vector<float> TrainedBits(const ModelDescription& model, int threads, size_t batch_size) {
  auto network = Network::Create(model, {.max_batch = batch_size, .threads = threads}).value();
  auto optimizer = Optimizer::Create(
      model, {.kind = OptimizerKind::kAdam, .weight_decay = 0.01f, .clip_norm = 0.5f, .threads = threads});
  network->InitializeGlorot(Seed{1, 2, 3});
  network->SetDropoutSeed(kDropoutSeed);
  for (uint64_t step = 0; step < 3; ++step) {
    const Examples examples(model, step == 2 ? batch_size - 5 : batch_size, kSeed + step);
    network->ZeroGradients();
    network->TrainBatch(ToBatch(examples), {.step = step});
    (*optimizer)->Step(network->parameters(), network->gradients(), 0.01f);
  }
  return {network->parameters().begin(), network->parameters().end()};
}

TEST(NetworkBitsTest, AreTheSameForAnyNumberOfThreadsOnSmallModels) {
  for (const NamedModel& named : SmallModels()) {
    const ModelDescription model = Model(named.text);
    const std::vector<float> one = TrainedBits(model, 1, 39);
    for (const int threads : kManyThreads) EXPECT_EQ(one, TrainedBits(model, threads, 39)) << named.name << threads;
  }
}

TEST(NetworkBitsTest, AreTheSameForAnyNumberOfThreadsOnKerasCnn) {
  const ModelDescription model = PresetModel("keras-cnn");
  const std::vector<float> one = TrainedBits(model, 1, 32);
  for (const int threads : kManyThreads) EXPECT_EQ(one, TrainedBits(model, threads, 32)) << threads;
}

TEST(NetworkBitsTest, AnotherSeedGivesOtherParameters) {
  const ModelDescription model = Model(SmallModels()[1].text);
  auto a = Network::Create(model, {}).value(), b = Network::Create(model, {}).value();
  a->InitializeGlorot(Seed{1});
  b->InitializeGlorot(Seed{2});
  EXPECT_FALSE(std::equal(a->parameters().begin(), a->parameters().end(), b->parameters().begin()));
}

TEST(NetworkBitsTest, EvaluationDoesNotDependOnThreads) {
  const ModelDescription model = PresetModel("fedavg-cnn");
  const Examples examples(model, 11, kSeed);
  std::vector<float> first;
  for (const int threads : kManyThreads) {
    auto network = MakeNetwork(model, {.max_batch = 8, .threads = threads, .training = false});
    std::vector<float> outputs(11 * 10);
    network->EvaluateBatch(ToBatch(examples), outputs.data());
    if (first.empty()) first = outputs;
    EXPECT_EQ(first, outputs) << threads;
  }
}

// --- Gradients of parts.

TEST(NetworkTest, MicroBatchesAddUpToTheWholeBatch) {
  for (const NamedModel& named : SmallModels()) {
    const ModelDescription model = Model(named.text);
    const Examples examples(model, 13, kSeed);
    auto whole = MakeNetwork(model, {.max_batch = 13}), parts = MakeNetwork(model, {.max_batch = 4});
    const BatchResult a = whole->TrainBatch(ToBatch(examples), {.step = 1});
    const BatchResult b = parts->TrainBatch(ToBatch(examples), {.step = 1});
    EXPECT_NEAR(a.loss_sum, b.loss_sum, 1e-5 * (1 + a.loss_sum)) << named.name;
    EXPECT_EQ(a.correct, b.correct);
    for (size_t i = 0; i < model.parameter_count(); ++i) {
      ASSERT_NEAR(whole->gradients()[i], parts->gradients()[i], 1e-5f) << named.name << " parameter " << i;
    }
  }
}

TEST(NetworkTest, PartsGivenByTheCallerAreThePartsItMakesItself) {
  const ModelDescription model = Model(SmallModels()[7].text);  // with dropout
  const Examples examples(model, 10, kSeed);
  auto own = MakeNetwork(model, {.max_batch = 5}), given = MakeNetwork(model, {.max_batch = 5});
  const Batch batch = ToBatch(examples);
  own->TrainBatch(batch, {.step = 4});
  for (const size_t first : {size_t{0}, size_t{5}}) {
    Batch part = batch;
    part.n = 5;
    part.x += first * model.input().size();
    part.labels += first;
    given->TrainBatch(part, {.batch_examples = 10, .first_example = first, .step = 4});
  }
  EXPECT_TRUE(std::equal(own->gradients().begin(), own->gradients().end(), given->gradients().begin()));
}

TEST(NetworkTest, GradientsAccumulateUntilZeroed) {
  const ModelDescription model = Model(SmallModels()[3].text);
  const Examples examples(model, 4, kSeed);
  auto network = MakeNetwork(model, {.max_batch = 4});
  network->TrainBatch(ToBatch(examples), {});
  const std::vector<float> once(network->gradients().begin(), network->gradients().end());
  network->TrainBatch(ToBatch(examples), {});
  for (size_t i = 0; i < once.size(); ++i) ASSERT_NEAR(2 * once[i], network->gradients()[i], 1e-6f) << i;
  network->ZeroGradients();
  network->TrainBatch(ToBatch(examples), {});
  EXPECT_TRUE(std::equal(once.begin(), once.end(), network->gradients().begin()));
  network->ZeroGradients();
  for (const float g : network->gradients()) ASSERT_EQ(0.0f, g);
}

TEST(NetworkTest, EmptyBatchChangesNothing) {
  const ModelDescription model = Model(SmallModels()[3].text);
  auto network = MakeNetwork(model, {});
  const BatchResult result = network->TrainBatch({}, {});
  EXPECT_EQ(0, result.loss_sum);
  for (const float g : network->gradients()) ASSERT_EQ(0.0f, g);
}

TEST(NetworkTest, CorrectCountsAgreeWithTheOutputs) {
  const ModelDescription model = Model(SmallModels()[2].text);
  const Examples examples(model, 50, kSeed);
  auto network = MakeNetwork(model, {.max_batch = 16});
  std::vector<float> outputs(50 * 4);
  const BatchResult result = network->EvaluateBatch(ToBatch(examples), outputs.data());
  ConfusionMatrix confusion(4);
  confusion.AddBatch(outputs.data(), 4, examples.labels.data(), 50);
  EXPECT_EQ(confusion.correct(), result.correct);
}

TEST(NetworkTest, LabelOutOfRangeGivesNanLoss) {
  for (const size_t which : {size_t{0}, size_t{3}}) {
    const ModelDescription model = Model(SmallModels()[which].text);
    for (const int32_t bad : {-1, 1000}) {
      Examples examples(model, 3, kSeed);
      examples.labels[1] = bad;
      auto network = MakeNetwork(model, {});
      EXPECT_TRUE(std::isnan(network->TrainBatch(ToBatch(examples), {}).loss_sum));
    }
  }
}

// --- Dropout.

TEST(NetworkTest, DropoutKeepsItsShareAndDependsOnSeedAndStep) {
  const ModelDescription model = Model(R"(input: 4000 layers { dropout { rate: 0.25 } }
      layers { dense { units: 2 activation: ACTIVATION_SOFTMAX } } loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY)");
  Examples examples(model, 1, kSeed);
  std::fill(examples.x.begin(), examples.x.end(), 1.0f);
  const auto dropped = [&](const Seed& seed, uint64_t step) {
    auto network = MakeNetwork(model, {.max_batch = 1});
    network->SetDropoutSeed(seed);
    network->TrainBatch(ToBatch(examples), {.step = step});
    std::vector<bool> zero;  // a dropped input leaves no gradient on its weights
    for (size_t i = 0; i < 4000; ++i) zero.push_back(network->gradients()[2 * i] == 0);
    return zero;
  };
  const std::vector<bool> mask = dropped(Seed{1}, 0);
  EXPECT_NEAR(1000, std::count(mask.begin(), mask.end(), true), 120);
  EXPECT_EQ(mask, dropped(Seed{1}, 0));
  EXPECT_NE(mask, dropped(Seed{1}, 1));
  EXPECT_NE(mask, dropped(Seed{2}, 0));
}

// --- NaN, Inf, denormals, memory.

TEST(NetworkTest, NanInTheInputReachesLossAndParametersThroughEveryLayer) {
  for (const NamedModel& named : SmallModels()) {
    const ModelDescription model = Model(named.text);
    Examples examples(model, 3, kSeed);
    std::fill_n(examples.x.begin(), model.input().size(), std::numeric_limits<float>::quiet_NaN());
    auto network = MakeNetwork(model, {.max_batch = 3});
    std::vector<float> outputs(3 * model.output().size());
    EXPECT_TRUE(std::isnan(network->EvaluateBatch(ToBatch(examples), outputs.data()).loss_sum)) << named.name;
    EXPECT_TRUE(std::isnan(outputs[0])) << named.name;
    EXPECT_FALSE(std::isnan(outputs.back())) << named.name << ": another example's output";
    EXPECT_TRUE(std::isnan(network->TrainBatch(ToBatch(examples), {}).loss_sum)) << named.name;
    EXPECT_TRUE(std::isnan(network->gradients()[0])) << named.name;
  }
}

TEST(NetworkTest, InfinityInTheParametersIsNotHidden) {
  const ModelDescription model = Model(SmallModels()[1].text);
  const Examples examples(model, 3, kSeed);
  auto network = MakeNetwork(model, {.max_batch = 3});
  const size_t last = model.layers().back().kernel_offset;
  for (size_t i = last; i < model.parameter_count(); ++i) {
    network->parameters()[i] = std::numeric_limits<float>::infinity();
  }
  EXPECT_FALSE(std::isfinite(network->EvaluateBatch(ToBatch(examples), nullptr).loss_sum));
}

TEST(NetworkTest, DenormalsAreFlushedInsideAndTheModeIsRestored) {
  const volatile float tiny = FLT_MIN;
  {
    const FlushDenormals flush;
    EXPECT_EQ(0.0f, tiny / 2);
  }
  EXPECT_NE(0.0f, tiny / 2);
  for (const int threads : kManyThreads) {
    std::vector<float> halves(64, -1.0f);
    ParallelFor(threads, halves.size(), [&](size_t task, size_t) { halves[task] = tiny / 2; });
    for (const float half : halves) EXPECT_EQ(0.0f, half);
  }
  EXPECT_NE(0.0f, tiny / 2);
}

TEST(NetworkTest, GlorotStaysInItsLimitsAndBiasesAreZero) {
  const ModelDescription model = PresetModel("keras-cnn");
  auto network = Network::Create(model, {}).value();
  network->InitializeGlorot(Seed{5});
  const auto check = [&](size_t offset, size_t size, double limit) {
    double largest = 0, sum = 0;
    for (size_t i = offset; i < offset + size; ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(network->parameters()[i])));
      sum += static_cast<double>(network->parameters()[i]);
    }
    EXPECT_LE(largest, limit * (1 + 1e-6));
    EXPECT_GT(largest, 0.95 * limit);
    EXPECT_NEAR(0, sum / static_cast<double>(size), 4 * limit / std::sqrt(3 * static_cast<double>(size)));
  };
  check(0, 288, std::sqrt(6.0 / (9 + 9 * 32)));
  check(320, 5408 * 128, std::sqrt(6.0 / (5408 + 128)));
  for (size_t i = 288; i < 320; ++i) EXPECT_EQ(0.0f, network->parameters()[i]);
}

TEST(NetworkTest, LearnsToTellTwoClassesApart) {
  const ModelDescription model = Model(SmallModels()[1].text);
  Examples examples(model, 64, kSeed);
  for (size_t i = 0; i < 64; ++i) examples.labels[i] = examples.x[i * 6] + examples.x[i * 6 + 3] > 0 ? 1 : 0;
  auto network = Network::Create(model, {.max_batch = 64}).value();
  auto optimizer = Optimizer::Create(model, {.kind = OptimizerKind::kAdam}).value();
  network->InitializeGlorot(Seed{1});
  for (uint64_t step = 0; step < 300; ++step) {
    network->ZeroGradients();
    network->TrainBatch(ToBatch(examples), {.step = step});
    optimizer->Step(network->parameters(), network->gradients(), 0.02f);
  }
  EXPECT_GE(network->EvaluateBatch(ToBatch(examples), nullptr).correct, 62u);
}

TEST(NetworkTest, RefusesImpossibleOptions) {
  const ModelDescription model = Model(SmallModels()[0].text);
  EXPECT_FALSE(Network::Create(model, {.max_batch = 0}).ok());
  EXPECT_FALSE(Network::Create(model, {.threads = 0}).ok());
  EXPECT_FALSE(Network::Create(model, {.isa = "abacus"}).ok());
}

TEST(NetworkTest, RefusesWhatCannotFitInMemoryBeforeItTries) {
  std::string text = "input: 16384 input: 16384 input: 1 ";
  for (int i = 0; i < 100; ++i) text += "layers { activation { activation: ACTIVATION_RELU } } ";
  const ModelDescription model = Model(text + "loss: LOSS_MEAN_SQUARED_ERROR");
  const absl::Status status = Network::Create(model, {.max_batch = 1 << 20}).status();
  EXPECT_EQ(absl::StatusCode::kResourceExhausted, status.code()) << status;
}

// What a description asks for, so that a client can tell before it tries. 40 MB of parameters and as much again.
TEST(NetworkTest, NeededBytesCountsParametersGradientsAndActivations) {
  const ModelDescription model = Model("input: 1000 layers { dense { units: 10000 } } loss: LOSS_MEAN_SQUARED_ERROR");
  const double parameters = 4.0 * 1000 * 10000;
  const double whole = Network::NeededBytes(model, {.max_batch = 1}).value();
  const double fused = Network::NeededBytes(model, {.max_batch = 1, .gradients = false}).value();
  const double inference = Network::NeededBytes(model, {.max_batch = 1, .training = false}).value();
  EXPECT_NEAR(2 * parameters, whole, 0.1 * parameters);
  EXPECT_NEAR(parameters, fused, 0.1 * parameters);
  EXPECT_NEAR(parameters, inference, 0.1 * parameters);
  // Activations grow with the batch: the output, its gradient and the latter turned around.
  const double batch = Network::NeededBytes(model, {.max_batch = 1000}).value();
  EXPECT_NEAR(whole + 4.0 * 10000 * 1000 * 4, batch, 0.25 * (batch - whole));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their allocators count otherwise
// Patches, partial sums and borders count too.
TEST(NetworkTest, NeededBytesIsWhatAConvolutionTakes) {
  const ModelDescription model = Model(R"(input: 60 input: 60 input: 16
      layers { conv2d { filters: 64 kernel_height: 5 kernel_width: 5 padding: PADDING_SAME } }
      layers { conv2d { filters: 64 kernel_height: 5 kernel_width: 5 padding: PADDING_SAME } }
      layers { flatten {} } layers { dense { units: 1 activation: ACTIVATION_SIGMOID } }
      loss: LOSS_BINARY_CROSSENTROPY)");
  const Network::Options options = {.max_batch = 8, .threads = 3};
  const double needed = Network::NeededBytes(model, options).value();
  const struct mallinfo2 before = mallinfo2();
  const auto network = Network::Create(model, options).value();
  const struct mallinfo2 after = mallinfo2();
  const double used =
      static_cast<double>(after.uordblks + after.hblkhd) - static_cast<double>(before.uordblks + before.hblkhd);
  EXPECT_NEAR(used, needed, 0.02 * used);
}
#endif

}  // namespace
}  // namespace tributary::nn
