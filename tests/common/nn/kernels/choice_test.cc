#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "common/nn/kernels/kernels.h"
#include "common/nn/kernels/kernels_simd.h"
#include "hwy/targets.h"

namespace tributary::nn {
namespace {

constexpr size_t kMax = 16;

// Plays a CPU to Highway while it lives. The targets are bits.
class PlayedCpu {
 public:
  explicit PlayedCpu(int64_t targets) { hwy::SetSupportedTargetsForTest(targets); }
  ~PlayedCpu() {
    hwy::SetSupportedTargetsForTest(0);
    const Kernels* tables[kMax];
    SimdKernels(tables, kMax);  // Highway's choice back to what this CPU has
  }
};

// That is all Highway says of an arm64 CPU without AES, e.g. a Raspberry Pi 4's, though what it was compiled for runs.
// Highway gives the one to g++ 12.2, whose vector extension it does not trust, and the other to clang.
[[maybe_unused]] const auto kLeastSet = ::testing::AnyOf(::testing::StrEq("scalar"), ::testing::StrEq("emu128"));

TEST(KernelChoiceTest, ACpuOfWhichHighwayKnowsNothingRunsWhatTheProgramWasCompiledFor) {
  const PlayedCpu cpu(HWY_SCALAR);
  const Kernels* tables[kMax] = {};
  ASSERT_EQ(1u, SimdKernels(tables, kMax));
  float sum = 1;
  const float two = 2;
  tables[0]->add(&two, 1, &sum);
  EXPECT_EQ(3, sum);
#if defined(__aarch64__)
  EXPECT_STREQ("neon", tables[0]->isa);
#else
  EXPECT_THAT(tables[0]->isa, kLeastSet);
#endif
}

TEST(KernelChoiceTest, NoMoreTablesThanFit) {
  const Kernels* tables[kMax] = {};
  const Kernels* one[1] = {};
  ASSERT_GE(SimdKernels(tables, kMax), 1u);
  ASSERT_EQ(1u, SimdKernels(one, 1));
  EXPECT_STREQ(tables[0]->isa, one[0]->isa);
}

// One architecture's best sets, and none by a name that nobody can ask for.
TEST(KernelChoiceTest, EverySetHasItsName) {
  size_t count = 0;
  const Kernels* const* tables = SupportedKernels(&count);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_STRNE("other", tables[i]->isa);
    for (size_t k = 0; k < i; ++k) EXPECT_STRNE(tables[i]->isa, tables[k]->isa);
  }
#if defined(__aarch64__)
  ASSERT_EQ(1u, count);
  EXPECT_STREQ("neon", tables[0]->isa);
#elif defined(__AVX__)
  // A build for one machine only: its sets begin higher.
#else
  EXPECT_THAT(tables[count - 1]->isa, kLeastSet) << "any x86-64 can run this program";
#endif
}

}  // namespace
}  // namespace tributary::nn
