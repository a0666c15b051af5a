// Compiles the kernels once per instruction set and hands out the tables. This file and the -inl.h files that it
// includes are compiled with instructions that the CPU may lack: they include Highway and <cstddef> only and keep
// everything internal, so that no such code can be picked by the linker for the rest of the program
// (tests/common/nn/kernels/linkage_test.py).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/nn/kernels/kernels_simd.cc"
// Scalable vectors cannot stand in arrays, which the tiles of gemm-inl.h need.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Order matters: foreach_target first.
#include "common/nn/kernels/elementwise-inl.h"
#include "common/nn/kernels/gemm-inl.h"
#include "common/nn/kernels/kernels_simd.h"
#include "common/nn/kernels/pool-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tributary::nn {
namespace HWY_NAMESPACE {
namespace {

constexpr const char* kIsaName = HWY_TARGET == HWY_AVX3_DL  ? "avx512dl"
                                 : HWY_TARGET == HWY_AVX3   ? "avx512"
                                 : HWY_TARGET == HWY_AVX2   ? "avx2"
                                 : HWY_TARGET == HWY_SSE4   ? "sse4"
                                 : HWY_TARGET == HWY_SSSE3  ? "ssse3"
                                 : HWY_TARGET == HWY_NEON   ? "neon"
                                 : HWY_TARGET == HWY_EMU128 ? "emu128"  // clang has it, g++ 12 has scalar
                                 : HWY_TARGET == HWY_SCALAR ? "scalar"
                                                            : "other";

constexpr Kernels kTable = {
    .isa = kIsaName,
    .gemm_scratch = kDepth * kPanel,
    .gemm_panel = kPanel,
    .gemm = Gemm,
    .transpose = Transpose,
    .relu = Relu,
    .sigmoid = Sigmoid,
    .tanh = Tanh,
    .relu_backward = ReluBackward,
    .sigmoid_backward = SigmoidBackward,
    .tanh_backward = TanhBackward,
    .softmax = Softmax,
    .binary_loss = BinaryLoss,
    .max_pool = MaxPool,
    .max_pool_backward = MaxPoolBackward,
    .avg_pool = AvgPool,
    .avg_pool_backward = AvgPoolBackward,
    .add = AddTo,
    .add_rows = AddRows,
    .scale = Scale,
    .sum_squares = SumSquares,
    .sgd = Sgd,
    .momentum = Momentum,
    .adam = Adam,
};

}  // namespace

const Kernels* Table() { return &kTable; }

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace tributary::nn
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tributary::nn {

HWY_EXPORT(Table);

size_t SimdKernels(const Kernels** tables, size_t capacity) {
  size_t count = 0;
  // Bits stand for targets, the lowest for the best. What the program was compiled for runs anyhow, also where Highway
  // knows nothing of it: to it an arm64 CPU without AES has no NEON, though nothing here uses AES.
  const int64_t supported = (hwy::SupportedTargets() & HWY_TARGETS) | HWY_STATIC_TARGET;
  for (int64_t rest = supported; rest != 0 && count < capacity; rest &= rest - 1) {
    hwy::GetChosenTarget().Update(rest & -rest);
    tables[count++] = HWY_DYNAMIC_DISPATCH(Table)();
  }
  hwy::GetChosenTarget().Update(supported);
  return count;
}

}  // namespace tributary::nn
#endif  // HWY_ONCE
