// The inner loop of the exact average (fedavg.h), and its definition. Internal to learning.
//   q = round-half-even(delta * 2^40) = high * 2^31 + low, with |high| <= 2^29 and |low| <= 2^30
//   high_sum[i] += weight * high;  low_sum[i] += weight * low
// Both give the same integers: nothing in them rounds but the two steps that make q. |delta| < 2^20; n may be 0; any
// alignment; the arrays do not overlap.
#ifndef TRIBUTARY_COMMON_LEARNING_EXACT_SUM_H_
#define TRIBUTARY_COMMON_LEARNING_EXACT_SUM_H_

#include <cstddef>
#include <cstdint>

namespace tributary::learning {

// The definition, for any weight up to 2^32.
void AddWeightedRef(const float* delta, size_t n, uint64_t weight, int64_t* low_sum, int64_t* high_sum);

// For weights up to this, the best that the CPU has.
inline constexpr uint64_t kFastWeight = uint64_t{1} << 20;
void AddWeighted(const float* delta, size_t n, uint64_t weight, int64_t* low_sum, int64_t* high_sum);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_EXACT_SUM_H_
