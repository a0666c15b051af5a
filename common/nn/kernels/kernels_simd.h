// What kernels_simd.cc gives to kernels.cc, and to nobody else.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_KERNELS_SIMD_H_
#define TRIBUTARY_COMMON_NN_KERNELS_KERNELS_SIMD_H_

#include <cstddef>

#include "common/nn/kernels/kernels.h"

namespace tributary::nn {

// Writes the tables that this CPU can run, best first; returns their number (at most `capacity`). Not for two threads
// at once: it moves Highway's choice while it looks.
size_t SimdKernels(const Kernels** tables, size_t capacity);

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_KERNELS_KERNELS_SIMD_H_
