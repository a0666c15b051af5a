// The comparisons of layer_list_test.cc and bits_test.cc refuse what a wrong engine would give. Each mutant here is the
// reference with one fault, on layer lists that the tests draw; mutants.py plants the same faults in the engine itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <functional>

#include "common/nn/engine.h"
#include "tests/common/nn/layer_lists.h"
#include "tests/common/nn/whole_network.h"

namespace tributary::nn {
namespace {

constexpr uint64_t kLists = 12;

float RoundToBf16(float v) {
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u);
}

using Network32 = ReferenceNetwork<float>;

Outcome ToOutcome(double loss, const Network32& network) { return {loss, network.gradients}; }

// The float reference, after `spoil` did what it wants with it.
Outcome Mutant(const Case& c, const std::function<void(Network32*)>& spoil) {
  Network32 network(c.model);
  network.parameters = c.parameters;
  spoil(&network);
  const double loss = RunReference(c, &network);
  return ToOutcome(loss, network);
}

// How many lists' comparisons refuse the mutant, coarse and fine.
struct Refused {
  int coarse = 0, fine = 0;
};
Refused Refusals(const std::function<Outcome(const Case&)>& mutant) {
  Refused refused;
  for (uint64_t seed = 0; seed < kLists; ++seed) {
    const Case coarse = LayerListDrawer(2000 + seed, Values::kCoarse).Draw();
    refused.coarse += Difference(Reference(coarse), mutant(coarse), 0).empty() ? 0 : 1;
    const Case fine = LayerListDrawer(2000 + seed, Values::kFine).Draw();
    Expected want = Reference(fine);
    AddSizes(fine, &want);
    refused.fine += Difference(want, mutant(fine), RoundingSteps(fine)).empty() ? 0 : 1;
  }
  return refused;
}

TEST(MutantsTest, TheReferenceItselfIsNotRefused) {
  const Refused refused = Refusals([](const Case& c) { return Mutant(c, [](Network32*) {}); });
  EXPECT_EQ(0, refused.coarse);
  EXPECT_EQ(0, refused.fine);
}

TEST(MutantsTest, FactorsRoundedToBf16AreRefused) {
  const Refused refused =
      Refusals([](const Case& c) { return Mutant(c, [](Network32* network) { network->round = RoundToBf16; }); });
  EXPECT_GE(refused.fine, 10) << "sums of very many terms average the rounding out";
  EXPECT_GE(refused.coarse, 4) << "small integers are bf16 numbers; their sums are not";
}

// The weights of one tap: [begin, end) of the parameters.
struct Tap {
  size_t begin, end;
  bool Holds(const std::vector<float>& values) const {
    return std::any_of(values.begin() + static_cast<ptrdiff_t>(begin), values.begin() + static_cast<ptrdiff_t>(end),
                       [](float v) { return v != 0; });
  }
  void Clear(std::vector<float>* values) const {
    std::fill(values->begin() + static_cast<ptrdiff_t>(begin), values->begin() + static_cast<ptrdiff_t>(end), 0.0f);
  }
};

std::vector<Tap> Taps(const ModelDescription& model) {
  std::vector<Tap> taps;
  for (const LayerSpec& l : model.layers()) {
    if (l.kind != LayerKind::kConv2D) continue;
    const size_t size = l.in.c * l.out.c;
    for (size_t at = 0; at < l.kernel_size; at += size)
      taps.push_back({l.kernel_offset + at, l.kernel_offset + at + size});
  }
  return taps;
}

// No gradient for one tap, or one that takes no part in the products: any of them.
TEST(MutantsTest, ADroppedTapIsRefused) {
  size_t dropped = 0, skipped = 0, refused = 0;
  for (uint64_t seed = 0; seed < kLists; ++seed) {
    const Case c = LayerListDrawer(2000 + seed, Values::kCoarse).Draw();
    const Expected want = Reference(c);
    const Outcome right = Mutant(c, [](Network32*) {});
    ASSERT_EQ("", Difference(want, right, 0));
    for (const Tap& tap : Taps(c.model)) {
      if (!tap.Holds(right.gradients)) continue;  // meets padding or dead units alone
      Outcome mutant = right;
      tap.Clear(&mutant.gradients);
      ASSERT_NE("", Difference(want, mutant, 0)) << "list " << seed << ", weights from " << tap.begin;
      ++dropped;
      if (dropped % 4 != 0 || !tap.Holds(c.parameters)) continue;
      mutant = Mutant(c, [&](Network32* network) { tap.Clear(&network->parameters); });
      ++skipped;
      refused += Difference(want, mutant, 0).empty() ? 0 : 1;
    }
  }
  EXPECT_GE(dropped, 50u);
  EXPECT_GE(skipped, 10u);
  EXPECT_GE(refused, skipped * 9 / 10) << "a tap may hold weights of dead units alone";
}

// The last unit of a layer, whose lane a kernel may forget: its weights stand as zeros.
TEST(MutantsTest, ASkippedLastLaneIsRefused) {
  for (const bool first_layer : {true, false}) {
    const Refused refused = Refusals([&](const Case& c) {
      return Mutant(c, [&](Network32* network) {
        const LayerSpec* layer = nullptr;
        for (const LayerSpec& l : c.model.layers()) {
          if (l.kernel_size > 0 && (layer == nullptr || !first_layer)) layer = &l;
        }
        for (size_t i = layer->out.c - 1; i < layer->kernel_size + layer->bias_size; i += layer->out.c) {
          network->parameters[layer->kernel_offset + i] = 0;
        }
      });
    });
    EXPECT_EQ(kLists, refused.fine);
    EXPECT_GE(refused.coarse, 8) << "a unit whose weights are all zeros is not missed";
  }
}

// w -= g first, then the gradient of what lies below with the new w: of the fused step's kind.
TEST(MutantsTest, AnInputGradientTakenAfterTheUpdateIsRefused) {
  int refused = 0, deep = 0;
  for (uint64_t seed = 0; seed < kLists; ++seed) {
    const Case c = LayerListDrawer(2000 + seed, Values::kCoarse).Draw();
    const auto layers = std::count_if(c.model.layers().begin(), c.model.layers().end(),
                                      [](const LayerSpec& l) { return l.kernel_size > 0; });
    deep += layers > 1 ? 1 : 0;
    Network32 first(c.model);
    first.parameters = c.parameters;
    RunReference(c, &first);
    std::vector<float> updated = c.parameters;
    for (size_t i = 0; i < updated.size(); ++i) updated[i] -= first.gradients[i];
    const Outcome late = Mutant(c, [&](Network32* network) { network->backward_parameters = updated.data(); });
    refused += Difference(Reference(c), late, 0).empty() ? 0 : 1;
  }
  EXPECT_GE(deep, 8);
  EXPECT_EQ(deep, refused);
}

// What `reduction(+)` does: the partial sums are right, and joined as they come.
TEST(MutantsTest, PartialSumsJoinedInAnotherOrderAreOtherBits) {
  const Case c = LayerListDrawer(2000, Values::kFine).Draw();
  const size_t in = c.model.input().size(), out = c.model.output().size();
  std::vector<std::vector<float>> partials;
  for (size_t i = 0; i < c.n(); ++i) {
    Network32 network(c.model);
    network.parameters = c.parameters;
    network.Train(c.examples.x.data() + i * in, 0, c.examples.targets.data() + i * out, i, c.n());
    partials.push_back(network.gradients);
  }
  const auto join = [&](const auto& order) {
    Outcome outcome{0, std::vector<float>(c.parameters.size())};
    for (const std::vector<float>& partial : order) {
      for (size_t k = 0; k < partial.size(); ++k) outcome.gradients[k] += partial[k];
    }
    return outcome;
  };
  const Outcome forward = join(partials);
  EXPECT_TRUE(forward == join(partials));
  std::reverse(partials.begin(), partials.end());
  ASSERT_GT(c.n(), 2u);
  EXPECT_FALSE(forward == join(partials));
}

}  // namespace
}  // namespace tributary::nn
