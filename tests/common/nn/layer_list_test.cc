// Whole networks of any layers, channels, kernels, strides and batches against the reference in double, on every
// instruction set and in bf16.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "common/nn/engine.h"
#include "tests/common/nn/layer_lists.h"
#include "tests/common/nn/whole_network.h"

namespace tributary::nn {
namespace {

constexpr uint64_t kLists = 48;

// The ends of what a description may ask for, which a draw would seldom meet.
std::vector<std::pair<const char*, size_t>> Extremes() {
  return {
      {R"(input: 3 input: 5 input: 512 layers { conv2d { filters: 3 kernel_height: 1 kernel_width: 1 } } layers { flatten {} }
          layers { dense { units: 2 } } loss: LOSS_MEAN_SQUARED_ERROR)",
       5},
      {R"(input: 7 input: 7 input: 1 layers { conv2d { filters: 512 kernel_height: 7 kernel_width: 7 padding: PADDING_SAME
                                              activation: ACTIVATION_RELU } }
          layers { avg_pool2d { pool_height: 2 pool_width: 2 } } layers { flatten {} }
          layers { dense { units: 4 } } loss: LOSS_MEAN_SQUARED_ERROR)",
       2},
      {R"(input: 13 input: 9 input: 3 layers { conv2d { filters: 17 kernel_height: 7 kernel_width: 3 stride_height: 2
                                               stride_width: 2 padding: PADDING_SAME activation: ACTIVATION_RELU } }
          layers { conv2d { filters: 33 kernel_height: 2 kernel_width: 5 stride_width: 2 padding: PADDING_SAME
                            activation: ACTIVATION_RELU } }
          layers { max_pool2d { pool_height: 2 pool_width: 2 } } layers { flatten {} }
          layers { dense { units: 16 } } loss: LOSS_MEAN_SQUARED_ERROR)",
       13},
      {R"(input: 1 layers { dense { units: 65 activation: ACTIVATION_RELU } } layers { dense { units: 1 } }
          loss: LOSS_MEAN_SQUARED_ERROR)",
       512},
      {R"(input: 28 input: 28 input: 1 layers { conv2d { filters: 32 kernel_height: 3 kernel_width: 3
                                                activation: ACTIVATION_RELU } }
          layers { max_pool2d { pool_height: 2 pool_width: 2 } } layers { flatten {} }
          layers { dense { units: 31 activation: ACTIVATION_RELU } }
          layers { dense { units: 8 } } loss: LOSS_MEAN_SQUARED_ERROR)",
       9},
      {R"(input: 28 input: 28 input: 1 layers { conv2d { filters: 32 kernel_height: 5 kernel_width: 5 padding: PADDING_SAME
                                                activation: ACTIVATION_RELU } }
          layers { max_pool2d { pool_height: 2 pool_width: 2 } }
          layers { conv2d { filters: 64 kernel_height: 5 kernel_width: 5 padding: PADDING_SAME
                            activation: ACTIVATION_RELU } }
          layers { max_pool2d { pool_height: 2 pool_width: 2 } } layers { flatten {} }
          layers { dense { units: 8 } } loss: LOSS_MEAN_SQUARED_ERROR)",
       1},
  };
}

Case DrawCase(uint64_t seed, Values values) {
  const auto extremes = Extremes();
  LayerListDrawer drawer(1000 + seed, values);
  if (seed >= extremes.size() || values == Values::kFine) return drawer.Draw();
  return drawer.Fill(Model(extremes[seed].first), extremes[seed].second);
}

std::string Describe(const Case& c) {
  std::string text = absl::StrCat("batch ", c.n(), ": ");
  for (const LayerSpec& l : c.model.layers()) {
    absl::StrAppend(&text, static_cast<int>(l.kind), "[", l.in.h, "x", l.in.w, "x", l.in.c, " > ", l.out.h, "x",
                    l.out.w, "x", l.out.c, ", ", l.window_h, "x", l.window_w, "/", l.stride_h, "x", l.stride_w, "] ");
  }
  return text;
}

double RoundToBf16(double v) {
  const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(v));
  return static_cast<double>(std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u));
}

class LayerListTest : public testing::TestWithParam<uint64_t> {};

// Small integers and divisions by powers of two: there is nothing to round, and no order of summation to differ by.
TEST_P(LayerListTest, CoarseValuesGiveTheReferencesExactly) {
  const Case c = DrawCase(GetParam(), Values::kCoarse);
  SCOPED_TRACE(Describe(c));
  const Expected want = Reference(c);
  ReferenceNetwork<float> narrow(c.model);
  narrow.parameters = c.parameters;
  RunReference(c, &narrow);
  for (size_t i = 0; i < want.gradients.size(); ++i) ASSERT_EQ(want.gradients[i], narrow.gradients[i]) << "rounds";
  for (const std::string& isa : SupportedIsas()) {
    // In one part, and in ragged ones.
    for (const size_t max_batch : {c.n(), c.n() / 3 + 1}) {
      ASSERT_EQ("", Difference(want, TrainOnce(c, {.max_batch = max_batch, .isa = isa.c_str()}), 0)) << isa;
    }
    ASSERT_EQ("", Difference(want, StepOnce(c, {.isa = isa.c_str()}), 0)) << isa << ", fused";
  }
}

// The same with every factor rounded to bf16, and sums that are still exact.
TEST_P(LayerListTest, CoarseValuesInBf16GiveTheProductsOfRoundedFactorsExactly) {
  const Case c = DrawCase(GetParam(), Values::kCoarse);
  SCOPED_TRACE(Describe(c));
  const Expected want = Reference(c, RoundToBf16);
  for (const std::string& isa : SupportedIsas(Precision::kBf16)) {
    for (const size_t max_batch : {c.n(), c.n() / 3 + 1}) {
      const Network::Options options = {.max_batch = max_batch, .precision = Precision::kBf16, .isa = isa.c_str()};
      ASSERT_EQ("", Difference(want, TrainOnce(c, options), 0)) << isa;
    }
    ASSERT_EQ("", Difference(want, StepOnce(c, {.precision = Precision::kBf16, .isa = isa.c_str()}), 0)) << isa;
  }
}

TEST_P(LayerListTest, FineValuesStayWithinTheRoundingOfTheirSums) {
  const Case c = DrawCase(GetParam(), Values::kFine);
  SCOPED_TRACE(Describe(c));
  Expected want = Reference(c);
  AddSizes(c, &want);
  for (const std::string& isa : SupportedIsas()) {
    ASSERT_EQ("", Difference(want, TrainOnce(c, {.max_batch = c.n(), .isa = isa.c_str()}), RoundingSteps(c))) << isa;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LayerListTest, testing::Range(uint64_t{0}, kLists));

// The lists above do contain what they are there for.
TEST(LayerListsTest, CoverTheRangeOfADescription) {
  std::set<size_t> channels, kernels, batches, strides;
  bool non_square = false, odd = false;
  for (uint64_t seed = 0; seed < kLists; ++seed) {
    const Case c = DrawCase(seed, Values::kCoarse);
    batches.insert(c.n());
    for (const LayerSpec& l : c.model.layers()) {
      channels.insert({l.in.c, l.out.c});
      if (l.kind != LayerKind::kConv2D) continue;
      kernels.insert({l.window_h, l.window_w});
      strides.insert({l.stride_h, l.stride_w});
      non_square |= l.window_h != l.window_w;
      odd |= l.in.h % 2 == 1 && l.in.w % 2 == 1;
    }
  }
  EXPECT_TRUE(non_square && odd);
  EXPECT_EQ((std::set<size_t>{1, 2}), strides);
  EXPECT_EQ((std::set<size_t>{1, 2, 3, 4, 5, 6, 7}), kernels);
  for (const size_t n : {1, 3, 32, 33, 512}) EXPECT_TRUE(batches.contains(n)) << n;
  for (const size_t c : {1, 15, 16, 17, 31, 32, 33, 64, 65, 512}) EXPECT_TRUE(channels.contains(c)) << c;
}

}  // namespace
}  // namespace tributary::nn
