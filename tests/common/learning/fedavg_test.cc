#include "common/learning/fedavg.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "common/base/random.h"
#include "tests/support/status_matchers.h"

namespace tributary::learning {
namespace {

using ::testing::HasSubstr;
using ::tributary::testing::StatusIs;

__extension__ using Int128 = __int128;

// round-half-even(delta * 2^40), from the bits of the float alone: no floating-point arithmetic that could round.
Int128 ExactUnits(float delta) {
  const uint32_t bits = std::bit_cast<uint32_t>(delta);
  const int exponent = static_cast<int>((bits >> 23) & 255);
  const Int128 mantissa = (bits & 0x7fffff) | (exponent == 0 ? 0 : 0x800000);
  const int shift = (exponent == 0 ? 1 : exponent) - 150 + 40;
  Int128 units;
  if (shift >= 0) {
    units = mantissa << shift;
  } else if (shift < -30) {
    units = 0;
  } else {
    const Int128 half = Int128{1} << (-shift - 1), rest = mantissa & (2 * half - 1);
    units = mantissa >> -shift;
    if (rest > half || (rest == half && units % 2 == 1)) ++units;
  }
  return bits >> 31 ? -units : units;
}

struct Update {
  std::vector<float> delta;
  uint64_t weight;
};

// The definition in fedavg.h, over exact integers.
std::vector<float> ByDefinition(const std::vector<Update>& updates, const std::vector<float>& base, double rate) {
  std::vector<float> model(base.size());
  for (size_t i = 0; i < base.size(); ++i) {
    Int128 sum = 0, weight = 0;
    for (const Update& u : updates) {
      sum += static_cast<Int128>(u.weight) * ExactUnits(u.delta[i]);
      weight += u.weight;
    }
    const double mean = static_cast<double>(sum) / (static_cast<double>(weight) * 0x1p40);
    model[i] = static_cast<float>(static_cast<double>(base[i]) + rate * mean);
  }
  return model;
}

// Signs and sizes from 2^-30 to 2^3, with zeros, exact halves of a unit and denormals among them.
std::vector<float> RandomDelta(size_t n, Rng* rng) {
  std::vector<float> delta(n);
  for (float& v : delta) {
    const float sign = rng->Below(2) == 0 ? 1.0f : -1.0f;
    v = sign * std::ldexp(1.0f + rng->UniformFloat(), static_cast<int>(rng->Below(33)) - 30);
    switch (rng->Below(16)) {
      case 0:
        v = 0;
        break;
      case 1:
        v = sign * (static_cast<float>(rng->Below(1 << 20)) + 0.5f) * 0x1p-40f;
        break;
      case 2:
        v = sign * 0x1p-140f;
        break;
      default:
        break;
    }
  }
  return delta;
}

std::vector<Update> RandomUpdates(size_t parameters, Rng* rng) {
  std::vector<Update> updates;
  for (const uint64_t weight : {1, 7, 600, 1 << 20, 1, 37, 5000}) {
    updates.push_back({RandomDelta(parameters, rng), weight});
  }
  return updates;
}

std::vector<float> Aggregate(const std::vector<Update>& updates, const std::vector<float>& base, double rate = 1.0) {
  FedAvg strategy(base.size());
  for (const Update& u : updates) EXPECT_OK(strategy.Add(u.delta, u.weight));
  const auto model = strategy.Finish(base, rate);
  EXPECT_OK(model);
  return model.value_or(std::vector<float>());
}

TEST(FedAvgTest, EqualsTheExactRationalToTheBit) {
  Rng rng(7);
  for (const size_t parameters : {1, 2, 7, 8, 1000, 5001}) {
    const std::vector<Update> updates = RandomUpdates(parameters, &rng);
    const std::vector<float> base = RandomDelta(parameters, &rng);
    EXPECT_EQ(Aggregate(updates, base), ByDefinition(updates, base, 1.0)) << parameters;
    EXPECT_EQ(Aggregate(updates, base, 0.3), ByDefinition(updates, base, 0.3)) << parameters;
  }
}

TEST(FedAvgTest, EveryHalfOfAUnitRoundsToEven) {
  std::vector<float> delta;
  for (int k = -9; k <= 9; ++k) delta.push_back(static_cast<float>(k) * 0x1p-41f);
  for (const float v : delta) {
    const std::vector<float> want{static_cast<float>(static_cast<double>(ExactUnits(v)) * 0x1p-40)};
    EXPECT_EQ(Aggregate({{{v}, 1}}, {0.0f}), want) << v;
  }
  EXPECT_EQ(Aggregate({{{0x1p-41f}, 1}}, {0.0f}), std::vector<float>{0.0f});
  EXPECT_EQ(Aggregate({{{0x3p-41f}, 1}}, {0.0f}), std::vector<float>{0x2p-40f});
}

TEST(FedAvgTest, TheSmallerPartKeepsItsTieAcrossTheSplit) {
  // Values with an odd half unit on top of each multiple of 2^-9, where the sum is split into two limbs.
  for (int k = -300; k <= 300; ++k) {
    const float near_tie = static_cast<float>(k) * 0x1p-10f;
    for (const float v : {near_tie, std::nextafter(near_tie, 1e9f), std::nextafter(near_tie, -1e9f)}) {
      const std::vector<Update> one{{{v}, 1}};
      EXPECT_EQ(Aggregate(one, {0.0f}), ByDefinition(one, {0.0f}, 1.0)) << std::hexfloat << v;
    }
  }
}

TEST(FedAvgTest, OrderOfArrivalDoesNotMatter) {
  Rng rng(11);
  std::vector<Update> updates = RandomUpdates(333, &rng);
  const std::vector<float> base = RandomDelta(333, &rng);
  const std::vector<float> first = Aggregate(updates, base);
  for (int i = 0; i < 20; ++i) {
    Shuffle(&updates, &rng);
    ASSERT_EQ(Aggregate(updates, base), first);
  }
}

TEST(FedAvgTest, CuttingIntoChunksDoesNotMatter) {
  Rng rng(13);
  const std::vector<Update> updates = RandomUpdates(5000, &rng);
  const std::vector<float> base(5000, 0.5f);
  for (const size_t chunk : {1, 3, 64, 2047, 2048, 2049}) {
    FedAvg strategy(5000);
    for (const Update& u : updates) {
      ASSERT_OK(strategy.Begin(u.weight));
      for (size_t at = 0; at < 5000; at += chunk) {
        ASSERT_OK(strategy.AddChunk(at, std::span(u.delta).subspan(at, std::min(chunk, 5000 - at))));
      }
      ASSERT_OK(strategy.End());
    }
    ASSERT_OK_AND_ASSIGN(const std::vector<float> model, strategy.Finish(base, 1.0));
    ASSERT_EQ(model, Aggregate(updates, base)) << chunk;
  }
}

TEST(FedAvgTest, WeightsByExamples) {
  EXPECT_EQ(Aggregate({{{1.0f}, 1}, {{4.0f}, 2}}, {10.0f}), std::vector<float>{13.0f});
}

TEST(FedAvgTest, ServerRateScalesTheStep) {
  EXPECT_EQ(Aggregate({{{2.0f}, 5}}, {1.0f}, 0.5), std::vector<float>{2.0f});
}

TEST(FedAvgTest, LargestDeltasAndWeightsDoNotOverflow) {
  const float largest = std::nextafter(0x1p20f, 0.0f);
  std::vector<Update> updates;
  for (int i = 0; i < 20; ++i) updates.push_back({{largest, -largest, 0x1p-40f}, FedAvg::kMaxWeight});
  updates.push_back({{-largest, largest, 1.0f}, 3});
  const std::vector<float> base{0, 0, 0};
  EXPECT_EQ(Aggregate(updates, base), ByDefinition(updates, base, 1.0));
}

TEST(FedAvgTest, ManyUpdatesCarryBetweenLimbs) {
  Rng rng(17);
  std::vector<Update> updates;
  for (int i = 0; i < 9000; ++i) updates.push_back({{1023.0f * (rng.UniformFloat() - 0.1f), 1023.0f}, 1 << 20});
  const std::vector<float> base{0, 0};
  EXPECT_EQ(Aggregate(updates, base), ByDefinition(updates, base, 1.0));
}

TEST(FedAvgTest, ValuesThatAreNotFiniteOrTooLargeAreRefusedByPlace) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -0x1p20f}) {
    std::vector<float> delta(3000, 0.0f);
    delta[2500] = bad;
    FedAvg strategy(3000);
    EXPECT_THAT(strategy.Add(delta, 1), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("value 2500 ")));
  }
}

TEST(FedAvgTest, WeightZeroAndAbove2To32AreRefused) {
  FedAvg strategy(1);
  EXPECT_THAT(strategy.Begin(0), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(strategy.Begin(FedAvg::kMaxWeight + 1), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_OK(strategy.Begin(FedAvg::kMaxWeight));
}

TEST(FedAvgTest, ChunksMustFollowOneAnother) {
  FedAvg strategy(4);
  const std::vector<float> two{1, 2};
  EXPECT_THAT(strategy.AddChunk(0, two), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(strategy.Begin(1));
  EXPECT_THAT(strategy.AddChunk(1, two), StatusIs(absl::StatusCode::kOutOfRange));
  ASSERT_OK(strategy.AddChunk(0, two));
  EXPECT_THAT(strategy.AddChunk(0, two), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(strategy.End(), StatusIs(absl::StatusCode::kFailedPrecondition, "only 2 of 4 values came"));
  EXPECT_THAT(strategy.Begin(1), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(strategy.Finish(std::vector<float>(4), 1.0), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(strategy.AddChunk(2, two));
  EXPECT_THAT(strategy.AddChunk(4, two), StatusIs(absl::StatusCode::kOutOfRange));
  ASSERT_OK(strategy.End());
  EXPECT_EQ(strategy.total_weight(), 1u);
  EXPECT_EQ(strategy.updates(), 1u);
}

TEST(FedAvgTest, NothingToAverageAndAnotherSizeAreRefused) {
  FedAvg strategy(2);
  EXPECT_THAT(strategy.Finish(std::vector<float>(2), 1.0), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(strategy.Add(std::vector<float>{1, 2}, 1));
  EXPECT_THAT(strategy.Finish(std::vector<float>(3), 1.0), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(FedAvgTest, AModelThatWouldNotBeFiniteIsRefused) {
  FedAvg strategy(1);
  ASSERT_OK(strategy.Add(std::vector<float>{1000.0f}, 1));
  EXPECT_THAT(strategy.Finish(std::vector<float>{0.0f}, 1e37), StatusIs(absl::StatusCode::kOutOfRange));
}

TEST(CreateStrategyTest, KnowsFedAvgOnly) {
  EXPECT_OK(CreateStrategy("fedavg", 3));
  EXPECT_THAT(CreateStrategy("median", 3), StatusIs(absl::StatusCode::kNotFound, HasSubstr("known: fedavg")));
}

}  // namespace
}  // namespace tributary::learning
