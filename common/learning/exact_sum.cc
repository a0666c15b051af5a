// Compiled once per instruction set; includes Highway and plain headers only (style H19).
#include "common/learning/exact_sum.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/learning/exact_sum.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Order matters: foreach_target first.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tributary::learning {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Adding this rounds a double of less than 2^51 to an integer, half to even, and leaves that integer in the low bits.
constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52

#if HWY_HAVE_FLOAT64
// Every product and difference is exact: powers of two, integers below 2^51, and a value less its nearest integer.
// The half that `high` takes away is even in units of `low`, so the tie of q stays where it is.
size_t AddVectors(const float* HWY_RESTRICT delta, size_t n, double weight, int64_t* HWY_RESTRICT low,
                  int64_t* HWY_RESTRICT high) {
  const hn::ScalableTag<double> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<float, decltype(d)> df;
  const size_t lanes = hn::Lanes(d);
  const auto rounder = hn::Set(d, kRounder), w = hn::Set(d, weight);
  const auto rounder_bits = hn::BitCast(di, rounder);
  const auto high_per_one = hn::Set(d, 512.0), low_per_high = hn::Set(d, 2147483648.0);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto value = hn::Mul(hn::PromoteTo(d, hn::LoadU(df, delta + i)), high_per_one);
    const auto whole = hn::Sub(hn::Add(value, rounder), rounder);
    const auto rest = hn::Mul(hn::Sub(value, whole), low_per_high);
    const auto rest_whole = hn::Sub(hn::Add(rest, rounder), rounder);
    const auto add_high = hn::Sub(hn::BitCast(di, hn::Add(hn::Mul(whole, w), rounder)), rounder_bits);
    const auto add_low = hn::Sub(hn::BitCast(di, hn::Add(hn::Mul(rest_whole, w), rounder)), rounder_bits);
    hn::StoreU(hn::Add(hn::LoadU(di, high + i), add_high), di, high + i);
    hn::StoreU(hn::Add(hn::LoadU(di, low + i), add_low), di, low + i);
  }
  return i;
}
#else
size_t AddVectors(const float*, size_t, double, int64_t*, int64_t*) { return 0; }
#endif

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tributary::learning
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tributary::learning {

HWY_EXPORT(AddVectors);

void AddWeighted(const float* delta, size_t n, uint64_t weight, int64_t* low_sum, int64_t* high_sum) {
  const size_t done = HWY_DYNAMIC_DISPATCH(AddVectors)(delta, n, static_cast<double>(weight), low_sum, high_sum);
  AddWeightedRef(delta + done, n - done, weight, low_sum + done, high_sum + done);
}

}  // namespace tributary::learning
#endif
