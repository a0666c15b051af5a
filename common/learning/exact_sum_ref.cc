#include <bit>

#include "common/learning/exact_sum.h"

namespace tributary::learning {
namespace {

constexpr double kRounder = 0x1.8p52;  // as in exact_sum.cc

// The integer nearest to |v| < 2^51, half to even.
int64_t NearestInteger(double v) { return std::bit_cast<int64_t>(v + kRounder) - std::bit_cast<int64_t>(kRounder); }

}  // namespace

void AddWeightedRef(const float* delta, size_t n, uint64_t weight, int64_t* low_sum, int64_t* high_sum) {
  const auto w = static_cast<int64_t>(weight);
  for (size_t i = 0; i < n; ++i) {
    const double value = static_cast<double>(delta[i]) * 0x1p9;
    const int64_t high = NearestInteger(value);
    high_sum[i] += w * high;
    low_sum[i] += w * NearestInteger((value - static_cast<double>(high)) * 0x1p31);
  }
}

}  // namespace tributary::learning
