// Matrix products on bfloat16 numbers with float32 sums: AMX tiles or AVX-512's VDPBF16PS, where the CPU has them. One
// table of functions per instruction set. bfloat16 is the upper half of a float32, rounded to nearest even.
//
// Bits: a sum runs over its depth in order, two products at a time, as the instruction defines it; it does not depend
// on how rows and columns are cut. The two sets round differently: they are two engines. Denormal numbers count as
// zero. Threads: the functions are pure; callers give each thread its own scratch.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_BF16_H_
#define TRIBUTARY_COMMON_NN_KERNELS_BF16_H_

#include <cstddef>
#include <cstdint>

#include "common/nn/kernels/kernels.h"

namespace tributary::nn {

using Bf16 = uint16_t;

// The depth is worked on in groups of so many steps, B in panels of so many columns; both are padded with zeros.
constexpr size_t kBf16Group = 32;
constexpr size_t kBf16Panel = 32;
// Elements of one packed panel of B per group.
constexpr size_t kBf16GroupSize = kBf16Group * kBf16Panel;
// How far past a run of A's depth the products may read.
constexpr size_t kBf16Slack = kBf16Group;

// The product is repeated: for (y, x) below (h, w), A begins y * a_h + x * a_w further on, C (y * w + x) * c further
// on. B stays. A convolution's kernel gradient is one product a tap.
struct Bf16Taps {
  size_t h = 1, w = 1, a_h = 0, a_w = 0, c = 0;
};

// C[i, j] = (start) + sum over k of A[i, k] B[k, j].
struct Bf16Args {
  // A[i, k] is a[rows(i) + depth(k)], with depth.inner_stride = 1. Each inner run of the depth is read up to the next
  // multiple of kBf16Group; what lies there must be readable and is multiplied by B's zeros.
  const Bf16* a = nullptr;
  Axis rows, depth;
  const Bf16* b = nullptr;  // packed: [panel][outer run][group of the run][kBf16GroupSize]
  size_t panel_stride = 0;  // elements from one panel of B to the next; 0: they lie side by side
  size_t n = 0;             // columns
  float* c = nullptr;
  size_t ldc = 0;
  bool accumulate = false;      // start from C, else from `bias` (n values) or 0
  const float* bias = nullptr;  // ignored when accumulating
  bool relu = false;
  Bf16Taps taps;
};

struct Bf16Kernels {
  const char* isa;  // "amx", "avx512bf16"
  void (*gemm)(const Bf16Args& args);
  // One panel: B[k, j] = rows[k][j] for j below `columns` (at most kBf16Panel); a null row is zeros. `depth` rows, a
  // multiple of kBf16Group; `to` takes depth * kBf16Panel elements.
  void (*pack)(const float* const* rows, size_t depth, size_t columns, Bf16* to);
  void (*convert)(const float* from, size_t n, Bf16* to);
  // to[c * ldt + r] = from[r * ldf + c]
  void (*transpose)(const float* from, size_t rows, size_t cols, size_t ldf, Bf16* to, size_t ldt);
};

// What bears on the choice; a plain value, so that tests can play other machines.
struct Bf16Support {
  bool avx512bf16 = false;     // AVX-512 F, BW, DQ, VL and BF16, and the system saves their registers
  bool amx = false;            // AMX-TILE and AMX-BF16, and the system saves tiles
  bool tiles_granted = false;  // arch_prctl(ARCH_REQ_XCOMP_PERM) said yes
};

// Asks the CPU and, when it has AMX, the system for leave to use tiles. Permission holds for threads made afterwards.
Bf16Support DetectBf16();
// Best first; at most two. AMX needs avx512bf16 too (its conversions).
size_t ChooseBf16(const Bf16Support& support, const Bf16Kernels** tables);

// The table that TRIBUTARY_ISA or this CPU chooses; `isa` names another one (null: the chosen one). Null when there is
// none. The first call detects: make it before threads start.
const Bf16Kernels* FindBf16Kernels(const char* isa = nullptr);
// All tables that this process can run, best first. `count` gets their number.
const Bf16Kernels* const* SupportedBf16Kernels(size_t* count);

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_KERNELS_BF16_H_
