// Compiled once per instruction set, as the kernels are: the peak is that of the widest vectors this CPU has.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/peak.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Order matters: foreach_target first.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tributary::bench {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
const hn::ScalableTag<float> d;

// Ten independent chains, by name: enough to hide the latency, few enough to stay in registers. Returns the operations.
double FmaChains(long steps, float* sink) {
  auto a0 = hn::Set(d, .1f), a1 = hn::Set(d, .2f), a2 = hn::Set(d, .3f), a3 = hn::Set(d, .4f), a4 = hn::Set(d, .5f);
  auto a5 = hn::Set(d, .6f), a6 = hn::Set(d, .7f), a7 = hn::Set(d, .8f), a8 = hn::Set(d, .9f), a9 = hn::Set(d, 1.f);
  const auto m = hn::Set(d, 0.999f), c = hn::Set(d, 0.001f);
  for (long i = 0; i < steps; ++i) {
    a0 = hn::MulAdd(a0, m, c), a1 = hn::MulAdd(a1, m, c), a2 = hn::MulAdd(a2, m, c), a3 = hn::MulAdd(a3, m, c);
    a4 = hn::MulAdd(a4, m, c), a5 = hn::MulAdd(a5, m, c), a6 = hn::MulAdd(a6, m, c), a7 = hn::MulAdd(a7, m, c);
    a8 = hn::MulAdd(a8, m, c), a9 = hn::MulAdd(a9, m, c);
  }
  a0 = hn::Add(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), hn::Add(hn::Add(a4, a5), hn::Add(a6, a7)));
  *sink = hn::GetLane(hn::Add(a0, hn::Add(a8, a9)));
  return 20.0 * static_cast<double>(hn::Lanes(d)) * static_cast<double>(steps);
}

void Axpy(float w, const float* b, float* a, size_t n) {
  const auto factor = hn::Set(d, w);
  for (size_t i = 0; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    hn::StoreU(hn::MulAdd(factor, hn::LoadU(d, b + i), hn::LoadU(d, a + i)), d, a + i);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tributary::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/nn/kernels/parallel.h"
#include "tests/bench/peak.h"
#include "tests/bench/peak_bf16.h"

namespace tributary::bench {
namespace {

HWY_EXPORT(FmaChains);
HWY_EXPORT(Axpy);

constexpr int kRounds = 5;

// The most of five rounds; `work` returns what it did.
template <class Work>
double BestRate(const Work& work) {
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double start = Now();
    const double done = work();
    best = std::max(best, done / (Now() - start));
  }
  return best * 1e-9;
}

}  // namespace

double Now() { return absl::ToDoubleSeconds(Clock::System().Monotonic()); }

double FmaPeak(int threads) {
  constexpr long kSteps = 10'000'000;
  std::vector<float> sinks(static_cast<size_t>(threads) * 16);
  std::vector<double> done(sinks.size());
  return BestRate([&] {
    nn::ParallelFor(threads, static_cast<size_t>(threads), [&](size_t task, size_t) {
      done[task * 16] = HWY_DYNAMIC_DISPATCH(FmaChains)(kSteps, &sinks[task * 16]);
    });
    return done[0] * threads;
  });
}

double Bf16Peak(const char* isa) {
  constexpr long kSteps = 500'000;
  if (!HasBf16Chains(isa)) return 0;
  float sink = 0;
  return BestRate([&] { return Bf16Chains(isa, kSteps, &sink); });
}

double StreamPeak(size_t bytes) {
  const size_t n = bytes / sizeof(float);
  std::vector<float> a(n, 1.0f), b(n, 2.0f);
  const size_t repeats = std::max<size_t>(1, (size_t{128} << 20) / bytes);
  return BestRate([&] {
    for (size_t i = 0; i < repeats; ++i) HWY_DYNAMIC_DISPATCH(Axpy)(0.5f, b.data(), a.data(), n);
    return 3.0 * static_cast<double>(bytes) * static_cast<double>(repeats);
  });
}

}  // namespace tributary::bench
#endif  // HWY_ONCE
