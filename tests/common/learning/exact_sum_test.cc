#include "common/learning/exact_sum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/base/random.h"

namespace tributary::learning {
namespace {

TEST(ExactSumTest, FastEqualsItsDefinitionAndStaysInBounds) {
  Rng rng(5);
  for (const size_t n : {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 1000}) {
    for (const size_t skew : {0, 1, 3}) {
      for (const uint64_t weight : {uint64_t{1}, uint64_t{7}, uint64_t{600}, kFastWeight}) {
        std::vector<float> delta(skew + n);
        for (float& v : delta) {
          v = std::ldexp(rng.UniformFloat() - 0.5f, static_cast<int>(rng.Below(60)) - 39);
          if (rng.Below(4) == 0) v = std::round(v * 0x1p41f) * 0x1p-41f;  // ties, where they are representable
        }
        std::vector<int64_t> low(skew + n + 1, 3), high(skew + n + 1, -3), want_low = low, want_high = high;
        AddWeightedRef(delta.data() + skew, n, weight, want_low.data() + skew, want_high.data() + skew);
        AddWeighted(delta.data() + skew, n, weight, low.data() + skew, high.data() + skew);
        ASSERT_EQ(low, want_low) << "n=" << n << " skew=" << skew << " weight=" << weight;
        ASSERT_EQ(high, want_high) << "n=" << n << " skew=" << skew << " weight=" << weight;
        EXPECT_EQ(low.back(), 3) << "wrote past the end";
      }
    }
  }
}

TEST(ExactSumTest, ValuesNextToTheLimitKeepEveryBit) {
  for (const float sign : {1.0f, -1.0f}) {
    const std::vector<float> delta(16, sign * std::nextafter(0x1p20f, 0.0f));  // 2^20 - 2^-4
    std::vector<int64_t> low(16), high(16);
    AddWeighted(delta.data(), 16, kFastWeight, low.data(), high.data());
    for (size_t i = 0; i < 16; ++i) {
      EXPECT_EQ(high[i], static_cast<int64_t>(sign) * ((int64_t{1} << 29) - (1 << 5)) * (int64_t{1} << 20));
      EXPECT_EQ(low[i], 0);
    }
  }
}

}  // namespace
}  // namespace tributary::learning
