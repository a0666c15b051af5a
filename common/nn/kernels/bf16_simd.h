// What the bf16_*.cc files give to bf16.cc, and to nobody else. Null on architectures that have no such thing.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_BF16_SIMD_H_
#define TRIBUTARY_COMMON_NN_KERNELS_BF16_SIMD_H_

#include "common/nn/kernels/bf16.h"

namespace tributary::nn {

const Bf16Kernels* AmxKernels();
const Bf16Kernels* Avx512Bf16Kernels();

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_KERNELS_BF16_SIMD_H_
