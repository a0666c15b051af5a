// What the kernel tests share: one instance per instruction set of this CPU, and arrays with guard words around them.
#ifndef TRIBUTARY_TESTS_COMMON_NN_KERNELS_KERNEL_FIXTURE_H_
#define TRIBUTARY_TESTS_COMMON_NN_KERNELS_KERNEL_FIXTURE_H_

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/nn/kernels/kernels.h"

namespace tributary::nn {

// n floats that begin `skew` floats off alignment, with a guard word on each side that must never change.
class Guarded {
 public:
  explicit Guarded(size_t n, size_t skew = 0, float fill = 0) : skew_(skew + 1), n_(n), all_(skew + n + 2, fill) {
    all_[skew_ - 1] = all_[skew_ + n] = kGuard;
  }
  Guarded(size_t n, size_t skew, Rng* rng) : Guarded(n, skew) {
    for (size_t i = 0; i < n; ++i) data()[i] = 2 * rng->UniformFloat() - 1;
  }
  float* data() { return all_.data() + skew_; }
  const float* data() const { return all_.data() + skew_; }
  size_t size() const { return n_; }
  float operator[](size_t i) const { return data()[i]; }
  float& operator[](size_t i) { return data()[i]; }
  bool guards_stand() const { return all_[skew_ - 1] == kGuard && all_[skew_ + n_] == kGuard; }

 private:
  static constexpr float kGuard = 12345.678f;
  size_t skew_, n_;
  std::vector<float> all_;
};

class KernelTest : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& k() const { return *GetParam(); }
  // Nothing, one, around one vector of any set, around two, odd, big.
  static std::vector<size_t> Sizes() { return {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000}; }
  static std::vector<size_t> Skews() { return {0, 1, 3}; }
  Rng rng_{uint64_t{20}};
};

// What a float32 sum of `terms` products may miss the exact one by, where `size` is the sum of their magnitudes. Errors
// of random sign grow with the root of their number; the worst case, one a step, would let a lost term hide.
inline double SumTolerance(size_t terms, double size) {
  return (4 + 2 * std::sqrt(static_cast<double>(terms))) * FLT_EPSILON * size;
}

inline std::vector<const Kernels*> AllKernels() {
  size_t count = 0;
  const Kernels* const* tables = SupportedKernels(&count);
  return {tables, tables + count};
}

#define TRB_ON_EVERY_ISA(fixture)                                          \
  INSTANTIATE_TEST_SUITE_P(Isas, fixture, testing::ValuesIn(AllKernels()), \
                           [](const auto& variant) { return std::string(variant.param->isa); })

}  // namespace tributary::nn

#endif  // TRIBUTARY_TESTS_COMMON_NN_KERNELS_KERNEL_FIXTURE_H_
