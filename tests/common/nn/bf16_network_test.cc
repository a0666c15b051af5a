// Networks whose products are bf16, against float32 and against themselves.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "common/data/load.h"
#include "common/data/synthetic.h"
#include "common/nn/engine.h"
#include "common/nn/network.h"
#include "common/nn/optimizer.h"
#include "tests/common/nn/engines.h"
#include "tests/common/nn/models.h"

namespace tributary::nn {
namespace {

constexpr Seed kSeed = {5};

Network::Options Bf16(const std::string& isa, size_t max_batch, int threads = 1) {
  return {.max_batch = max_batch, .threads = threads, .precision = Precision::kBf16, .isa = isa.c_str()};
}

Outcome Gradients(const ModelDescription& model, const Network::Options& options, const Examples& examples) {
  auto network = Network::Create(model, options).value();
  network->InitializeGlorot(kSeed);
  network->SetDropoutSeed(kSeed);
  Outcome outcome;
  outcome.loss = network->TrainBatch(ToBatch(examples), {.step = 2}).loss_sum;
  outcome.gradients.assign(network->gradients().begin(), network->gradients().end());
  return outcome;
}

double Cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    ab += x * y, aa += x * x, bb += y * y;
  }
  return ab / std::sqrt(aa * bb);
}

// What the presets are made for: digits, 28 x 28.
Examples Digits(const ModelDescription& model, uint64_t first, size_t n) {
  Examples examples(model, n, 11);
  for (size_t i = 0; i < n; ++i) {
    std::vector<uint8_t> pixels(data::kDigitSide * data::kDigitSide);
    const int digit = data::DrawDigit(7, data::Split::kTrain, first + i, pixels.data());
    examples.labels[i] = digit % static_cast<int>(model.num_classes());
    for (size_t p = 0; p < pixels.size(); ++p) {
      examples.x[i * pixels.size() + p] = static_cast<float>(pixels[p]) / 255;
    }
  }
  return examples;
}

class Bf16NetworkTest : public testing::TestWithParam<std::string> {};

TEST_P(Bf16NetworkTest, GradientsPointWhereFloat32sDo) {
  for (const NamedModel& named : SmallModels()) {
    const ModelDescription model = Model(named.text);
    const Examples examples(model, 19, 11);
    const Outcome want = Gradients(model, {.max_batch = 19}, examples);
    const Outcome got = Gradients(model, Bf16(GetParam(), 19), examples);
    EXPECT_NEAR(want.loss, got.loss, 0.01 * std::fabs(want.loss)) << named.name;
    EXPECT_GE(Cosine(want.gradients, got.gradients), 0.999) << named.name;
    EXPECT_NE(want.gradients, got.gradients) << named.name << ": is this bf16 at all?";
  }
}

// At the very start the presets' units stand so close to 0 that rounding turns some of them on or off, and the cosine
// is lower (0.998 for fedavg-cnn); a few steps of training part them.
TEST_P(Bf16NetworkTest, GradientsOfThePresetsPointWhereFloat32sDoAfterAFewSteps) {
  for (const char* preset : {"keras-cnn", "cat-cnn", "fedavg-cnn"}) {
    const ModelDescription model = PresetModel(preset);
    auto float32 = Network::Create(model, {.max_batch = 32}).value();
    auto bf16 = Network::Create(model, Bf16(GetParam(), 32)).value();
    auto sgd = Optimizer::Create(model, {}).value();
    float32->InitializeGlorot(kSeed);
    for (size_t step = 0; step < 20; ++step) {
      const Examples examples = Digits(model, 32 * step, 32);
      float32->TrainStep(ToBatch(examples), {}, 0.05f, sgd.get());
    }
    std::copy(float32->parameters().begin(), float32->parameters().end(), bf16->parameters().begin());
    const Examples examples = Digits(model, 1000, 32);
    const double want = float32->TrainBatch(ToBatch(examples), {}).loss_sum;
    EXPECT_NEAR(want, bf16->TrainBatch(ToBatch(examples), {}).loss_sum, 0.001 * want) << preset;
    EXPECT_GE(Cosine(float32->gradients(), bf16->gradients()), 0.999) << preset;
  }
}

TEST_P(Bf16NetworkTest, BitsDoNotDependOnThreads) {
  for (const NamedModel& named : SmallModels()) {
    const ModelDescription model = Model(named.text);
    const Examples examples(model, 13, 3);
    const Outcome want = Gradients(model, Bf16(GetParam(), 5), examples);
    for (const int threads : kManyThreads) {
      EXPECT_EQ(want, Gradients(model, Bf16(GetParam(), 5, threads), examples)) << named.name << ", " << threads;
    }
  }
  const ModelDescription model = PresetModel("keras-cnn");
  const Examples examples(model, 33, 3);  // a full batch and a lonely example
  const Outcome want = Gradients(model, Bf16(GetParam(), 32), examples);
  for (const int threads : kManyThreads) EXPECT_EQ(want, Gradients(model, Bf16(GetParam(), 32, threads), examples));
}

TEST_P(Bf16NetworkTest, TrainStepGivesTheBitsOfGradientsThenStep) {
  for (const NamedModel& named : SmallModels()) {
    const ModelDescription model = Model(named.text);
    const Examples examples(model, 6, 3);
    std::vector<float> results[2];
    for (const bool fused : {false, true}) {
      auto network = Network::Create(model, Bf16(GetParam(), 6)).value();
      auto optimizer = Optimizer::Create(model, {.kind = OptimizerKind::kAdam}).value();
      network->InitializeGlorot(kSeed);
      network->SetDropoutSeed(kSeed);
      for (uint64_t step = 0; step < 3; ++step) {
        if (fused) {
          network->TrainStep(ToBatch(examples), {.step = step}, 0.01f, optimizer.get());
          continue;
        }
        network->ZeroGradients();
        network->TrainBatch(ToBatch(examples), {.step = step});
        optimizer->Step(network->parameters(), network->gradients(), 0.01f);
      }
      results[fused].assign(network->parameters().begin(), network->parameters().end());
    }
    EXPECT_EQ(results[0], results[1]) << named.name;
  }
}

TEST_P(Bf16NetworkTest, NanInTheInputReachesTheLossWhereverItStands) {
  int seen = 0;
  for (const NamedModel& named : SmallModels()) {
    const ModelDescription model = Model(named.text);
    Examples examples(model, 4, 3);
    const size_t last = examples.x.size() - 1;
    for (const size_t at : {size_t{0}, last / 2, last}) {
      Examples spoilt = examples;
      spoilt.x[at] = std::numeric_limits<float>::quiet_NaN();
      // A stride may look past a pixel by design: then float32 does not see it either.
      auto float32 = Network::Create(model, {.max_batch = 4}).value();
      float32->InitializeGlorot(kSeed);
      if (!std::isnan(float32->EvaluateBatch(ToBatch(spoilt), nullptr).loss_sum)) continue;
      auto network = Network::Create(model, Bf16(GetParam(), 4)).value();
      network->InitializeGlorot(kSeed);
      EXPECT_TRUE(std::isnan(network->EvaluateBatch(ToBatch(spoilt), nullptr).loss_sum)) << named.name << " " << at;
      ++seen;
    }
  }
  EXPECT_GE(seen, 25);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Bf16NetworkTest);  // a CPU without bf16
INSTANTIATE_TEST_SUITE_P(Isas, Bf16NetworkTest, testing::ValuesIn(SupportedIsas(Precision::kBf16)),
                         [](const auto& variant) { return variant.param; });

TEST(Bf16Test, IsRefusedWithTheWayOutWhereTheCpuLacksIt) {
  if (HasBf16()) {
    EXPECT_TRUE(Network::Create(PresetModel("keras-cnn"), {.precision = Precision::kBf16}).ok());
    return;
  }
  const absl::Status status = Network::Create(PresetModel("keras-cnn"), {.precision = Precision::kBf16}).status();
  EXPECT_EQ(absl::StatusCode::kFailedPrecondition, status.code());
  EXPECT_NE(std::string::npos, status.message().find("auto"));
}

}  // namespace
}  // namespace tributary::nn
