// bf16.h with AVX-512's VDPBF16PS: two products a lane and instruction. Compiled with instructions that the CPU may
// lack: everything here is internal but Avx512Bf16Kernels, and nothing is included but intrinsics and <cstddef>.
#include "common/nn/kernels/bf16_simd.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>

#include <cstddef>

#include "common/nn/kernels/bf16_pack-inl.h"

namespace tributary::nn {
namespace {

constexpr int kMaxRows = 12;  // 24 sums, 2 vectors of B, 1 pair of A

// What a block of rows needs beside the arguments.
struct Block {
  const Bf16* a;
  float* c;
  const Bf16* b;
  __mmask16 masks[2];
  const float* bias;
};

// Two neighbours of A in every lane.
inline __m512bh PairOf(const Bf16* a) {
  int32_t pair;
  __builtin_memcpy(&pair, a, sizeof(pair));
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
}

template <int kRows>
__attribute__((noinline)) void Tile(const Bf16Args& args, const Block& block) {
  __m512 sum[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const float* from = args.accumulate ? block.c + static_cast<size_t>(r) * args.ldc : block.bias;
      sum[r][v] = from == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(block.masks[v], from + v * kFloats);
    }
  }
  const size_t groups = (args.depth.inner + kBf16Group - 1) / kBf16Group, stride = args.rows.inner_stride;
  const Bf16* b = block.b;
  for (size_t outer = 0; outer < args.depth.outer; ++outer) {
    const Bf16* a = block.a + outer * args.depth.outer_stride;
    for (size_t group = 0; group < groups; ++group, b += kBf16GroupSize) {
      const size_t steps = args.depth.inner - group * kBf16Group;
      const size_t pairs = steps >= kBf16Group ? kBf16Group / 2 : (steps + 1) / 2;  // the rest is zeros
      for (size_t pair = 0; pair < pairs; ++pair, a += 2) {
        const Bf16* at = b + pair * kBf16Group;
        const __m512bh b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(at));
        const __m512bh b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(at + kBf16GroupSize / 2));
#pragma GCC unroll 12
        for (int r = 0; r < kRows; ++r) {
          const __m512bh pair_of_a = PairOf(a + static_cast<size_t>(r) * stride);
          sum[r][0] = _mm512_dpbf16_ps(sum[r][0], pair_of_a, b0);
          sum[r][1] = _mm512_dpbf16_ps(sum[r][1], pair_of_a, b1);
        }
      }
    }
  }
  const __m512 floor = _mm512_set1_ps(args.relu ? 0.0f : -__builtin_inff());
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const __mmask16 below = _mm512_cmp_ps_mask(sum[r][v], floor, _CMP_LT_OQ);
      _mm512_mask_storeu_ps(block.c + static_cast<size_t>(r) * args.ldc + v * kFloats, block.masks[v],
                            _mm512_mask_mov_ps(sum[r][v], below, floor));
    }
  }
}

using TileFn = void (*)(const Bf16Args&, const Block&);
constexpr TileFn kTiles[kMaxRows] = {Tile<1>, Tile<2>, Tile<3>, Tile<4>,  Tile<5>,  Tile<6>,
                                     Tile<7>, Tile<8>, Tile<9>, Tile<10>, Tile<11>, Tile<12>};

// All rows against one panel.
inline void Rows(const Bf16Args& args, const Bf16* a, float* c, Block block) {
  const Axis& rows = args.rows;
  const size_t blocks = (rows.inner + kMaxRows - 1) / kMaxRows;
  for (size_t outer = 0; outer < rows.outer; ++outer) {
    block.a = a + outer * rows.outer_stride;
    block.c = c + outer * rows.inner * args.ldc;
    for (size_t i = 0; i < blocks; ++i) {
      const size_t height = rows.inner / blocks + (i < rows.inner % blocks ? 1 : 0);
      kTiles[height - 1](args, block);
      block.a += height * rows.inner_stride;
      block.c += height * args.ldc;
    }
  }
}

void Gemm(const Bf16Args& args) {
  const size_t groups = (args.depth.inner + kBf16Group - 1) / kBf16Group * args.depth.outer;
  const size_t panel_stride = args.panel_stride == 0 ? groups * kBf16GroupSize : args.panel_stride;
  for (size_t j = 0; j < args.n; j += kBf16Panel) {
    const size_t columns = args.n - j;
    Block block = {};
    block.b = args.b + j / kBf16Panel * panel_stride;
    block.masks[0] = FirstFloats(columns);
    block.masks[1] = FirstFloats(columns < kFloats ? 0 : columns - kFloats);
    block.bias = args.bias == nullptr ? nullptr : args.bias + j;
    for (size_t tap = 0; tap < args.taps.h * args.taps.w; ++tap) {
      const size_t y = tap / args.taps.w, x = tap % args.taps.w;
      Rows(args, args.a + y * args.taps.a_h + x * args.taps.a_w, args.c + tap * args.taps.c + j, block);
    }
  }
}

constexpr Bf16Kernels kTable = {
    .isa = "avx512bf16", .gemm = Gemm, .pack = Pack, .convert = Convert, .transpose = Transpose};

}  // namespace

const Bf16Kernels* Avx512Bf16Kernels() { return &kTable; }

}  // namespace tributary::nn

#else

namespace tributary::nn {
const Bf16Kernels* Avx512Bf16Kernels() { return nullptr; }
}  // namespace tributary::nn

#endif
