// One NaN anywhere shows in the loss: in any parameter of any layer, any lane and tail, any input, any target. And
// denormal numbers, which are as bad for speed, never arise.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/nn/kernels/kernels.h"
#include "common/nn/kernels/parallel.h"
#include "tests/common/nn/engines.h"
#include "tests/common/nn/whole_network.h"

namespace tributary::nn {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// A model, its data, and a network of the engine under test beside the reference.
class Spoilt {
 public:
  Spoilt(const ModelDescription& model, size_t n, const Engine& engine)
      : case_{model, Examples(model, n, 3), RandomFloats(model.parameter_count(), 4), n},
        network_(Network::Create(model, {.max_batch = n, .precision = engine.precision, .isa = engine.isa.c_str()})
                     .value()) {
    for (float& p : case_.parameters) p *= 0.3f;
  }

  std::vector<float>& x() { return case_.examples.x; }
  std::vector<float>& targets() { return case_.examples.targets; }
  std::vector<float>& parameters() { return case_.parameters; }

  // Whether a NaN at this place reaches the loss of evaluation and of training.
  bool Seen(float* at) {
    const float saved = *at;
    *at = kNan;
    std::copy(case_.parameters.begin(), case_.parameters.end(), network_->parameters().begin());
    const Batch batch = ToBatch(case_.examples);
    const double evaluated = network_->EvaluateBatch(batch, nullptr).loss_sum;
    const double trained = network_->TrainBatch(batch, {}).loss_sum;
    *at = saved;
    return std::isnan(evaluated) && std::isnan(trained);
  }
  // A stride may look past a pixel, padding past a tap: the reference knows.
  bool Matters(float* at) {
    const float saved = *at;
    *at = kNan;
    ReferenceNetwork<float> reference(case_.model);
    reference.parameters = case_.parameters;
    const double loss = RunReference(case_, &reference);
    *at = saved;
    return std::isnan(loss);
  }
  // Places of `values`, at most about `most` of them but with both ends; returns how many matter.
  size_t CheckAll(std::vector<float>* values, size_t most) {
    const size_t stride = values->size() / most + 1;
    size_t seen = 0;
    for (size_t i = 0; i < values->size(); ++i) {
      const bool end = i < 70 || i + 70 >= values->size();
      if ((i % stride != 0 && !(end && most > 100)) || !Matters(&(*values)[i])) continue;
      EXPECT_TRUE(Seen(&(*values)[i])) << "at " << i << " of " << values->size();
      ++seen;
    }
    return seen;
  }

 private:
  Case case_;
  std::unique_ptr<Network> network_;
};

class NanTest : public testing::TestWithParam<Engine> {};

TEST_P(NanTest, InAnyParameterInputOrTargetReachesTheLoss) {
  for (const NamedModel& named : SmallModels()) {
    SCOPED_TRACE(named.name);
    const ModelDescription model = Model(named.text);
    Spoilt spoilt(model, 2, GetParam());
    const size_t most = std::string(named.name) == "LongDepth" ? 40 : 300;
    EXPECT_GE(spoilt.CheckAll(&spoilt.parameters(), most), 12u);
    EXPECT_GE(spoilt.CheckAll(&spoilt.x(), most), 4u);
    if (model.loss() != Loss::kMeanSquaredError) continue;
    EXPECT_EQ(spoilt.targets().size(), spoilt.CheckAll(&spoilt.targets(), 10000));
  }
}

// Every lane and tail: each unit of layers around one, two and four vectors of any set, through each activation.
TEST_P(NanTest, InAnyLaneOrTailReachesTheLoss) {
  for (const size_t width : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65}) {
    for (const char* activation : {"UNSPECIFIED", "RELU", "SIGMOID", "TANH"}) {
      SCOPED_TRACE(absl::StrCat(width, " of ", activation));
      const std::string dense =
          absl::StrCat("layers { dense { units: ", width, " activation: ACTIVATION_", activation, " } } ");
      const std::string conv =
          absl::StrCat("layers { conv2d { filters: ", width,
                       " kernel_height: 2 kernel_width: 2 activation: ACTIVATION_", activation, " } } ");
      const std::string end =
          "layers { dense { units: 2 activation: ACTIVATION_SOFTMAX } } loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY";
      for (const std::string& text :
           {absl::StrCat("input: 3 ", dense, end),
            absl::StrCat("input: 3 input: 3 input: 2 ", conv,
                         "layers { max_pool2d { pool_height: 2 pool_width: 2 } } layers { flatten {} } ", end)}) {
        const ModelDescription model = Model(text);
        Spoilt spoilt(model, 1, GetParam());
        const LayerSpec& first = model.layers().front();
        for (size_t i = first.kernel_size; i < first.kernel_size + width; ++i) {
          ASSERT_TRUE(spoilt.Seen(&spoilt.parameters()[i])) << "bias " << i - first.kernel_size;
          ASSERT_TRUE(spoilt.Seen(&spoilt.parameters()[i - width])) << "weight of the last input";
        }
      }
    }
  }
}

// As above for the loss's own lanes.
TEST_P(NanTest, InAnyOutputReachesTheLoss) {
  for (const size_t width : {2, 3, 15, 16, 17, 33, 65}) {
    for (const char* end : {"activation: ACTIVATION_SOFTMAX } } loss: LOSS_SPARSE_CATEGORICAL_CROSSENTROPY",
                            "activation: ACTIVATION_TANH } } loss: LOSS_MEAN_SQUARED_ERROR",
                            "activation: ACTIVATION_SOFTMAX } } loss: LOSS_MEAN_SQUARED_ERROR"}) {
      const ModelDescription model = Model(absl::StrCat("input: 3 layers { dense { units: ", width, " ", end));
      Spoilt spoilt(model, 1, GetParam());
      for (float& parameter : spoilt.parameters()) ASSERT_TRUE(spoilt.Seen(&parameter)) << width << " " << end;
    }
  }
}

TRB_ON_EVERY_ENGINE(NanTest);

// --- Denormals.

size_t Denormals(const std::vector<float>& values) {
  return static_cast<size_t>(
      std::count_if(values.begin(), values.end(), [](float v) { return std::fpclassify(v) == FP_SUBNORMAL; }));
}

// After one real gradient, 2,000 of zero: the moments pass through the denormals' range, which takes 24 times as long.
size_t DenormalsOfAdam(const Kernels& kernels, int threads, bool flush) {
  constexpr size_t kPiece = 37, kPieces = 8;
  std::vector<float> g = RandomFloats(kPiece * kPieces, 5), m(g.size()), v(g.size()), w(g.size());
  for (float& value : g) value *= 1e-15f;
  size_t seen = 0;
  for (int step = 0; step < 2000; ++step) {
    const auto run = [&](size_t piece, size_t) {
      const size_t at = piece * kPiece;
      kernels.adam({0.01f, 0.0f}, g.data() + at, m.data() + at, v.data() + at, w.data() + at, kPiece);
    };
    if (flush) {
      ParallelFor(threads, kPieces, run);
    } else {
      for (size_t piece = 0; piece < kPieces; ++piece) run(piece, 0);
    }
    if (step == 0) std::fill(g.begin(), g.end(), 0.0f);
    seen += Denormals(m) + Denormals(v);
  }
  return seen;
}

TEST(DenormalsTest, AdamsMomentsHaveNoneIn2000StepsWithoutAGradient) {
  for (const std::string& isa : SupportedIsas()) {
    const Kernels& kernels = *FindKernels(isa.c_str());
    EXPECT_GT(DenormalsOfAdam(kernels, 1, false), 1000u) << isa << ": would this test notice?";
    EXPECT_EQ(0u, DenormalsOfAdam(kernels, 1, true)) << isa;
  }
#if !defined(__SANITIZE_THREAD__)
  EXPECT_EQ(0u, DenormalsOfAdam(*FindKernels(), 2, true));
#endif
}

// The moments of an Optimizer are its own. But a denormal m that got stuck would still move a parameter that is 0, at
// a learning rate that is large enough. Without fused multiply-adds m comes to rest a little above the denormals, where
// a tenth of it is flushed: that costs no time, and this test cannot tell it from the fault.
TEST(DenormalsTest, AnOptimizerComesToRest) {
  const std::string isa = FindKernels()->isa;
  if (isa == "sse4" || isa == "ssse3" || isa == "scalar" || isa == "emu128")
    GTEST_SKIP() << isa << " has no fused multiply-add";
  const ModelDescription model = Model("input: 33 layers { dense { units: 17 } } loss: LOSS_MEAN_SQUARED_ERROR");
  for (const bool fused : {false, true}) {
    auto network = Network::Create(model, {.max_batch = 2}).value();
    auto adam = Optimizer::Create(model, {.kind = OptimizerKind::kAdam}).value();
    Examples examples(model, 2, 3);  // a gradient at first
    for (uint64_t step = 0; step < 2000; ++step) {
      std::fill(network->parameters().begin(), network->parameters().end(), 0.0f);
      if (fused) {
        network->TrainStep(ToBatch(examples), {.step = step}, 1e30f, adam.get());
      } else {
        network->ZeroGradients();
        network->TrainBatch(ToBatch(examples), {.step = step});
        adam->Step(network->parameters(), network->gradients(), 1e30f);
      }
      if (step == 1) {
        EXPECT_NE(0.0f, network->parameters()[0]) << "m is still large";
      }
      std::fill(examples.x.begin(), examples.x.end(), 0.0f);
      std::fill(examples.targets.begin(), examples.targets.end(), 0.0f);
    }
    for (const float w : network->parameters()) ASSERT_EQ(0.0f, w) << (fused ? "fused" : "in parts");
  }
}

#if defined(__SSE2__)
TEST(DenormalsTest, TheModeIsSetInEveryTaskAndPutBackAfterIt) {
  constexpr unsigned kFlush = 0x8040;  // FTZ, DAZ
  const unsigned before = _mm_getcsr();
  ASSERT_EQ(0u, before & kFlush);
  for (const int threads : kManyThreads) {
    std::vector<unsigned> modes(64);
    ParallelFor(threads, modes.size(), [&](size_t task, size_t) { modes[task] = _mm_getcsr() & kFlush; });
    EXPECT_EQ(std::vector<unsigned>(64, kFlush), modes) << threads;
    EXPECT_EQ(before & kFlush, _mm_getcsr() & kFlush);
  }
}
#endif

}  // namespace
}  // namespace tributary::nn
