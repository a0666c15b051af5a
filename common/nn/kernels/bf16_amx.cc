// bf16.h in AMX tiles. Compiled with instructions that the CPU may lack: everything here is internal but AmxKernels,
// and nothing is included but intrinsics and <cstddef>.
//
// Four tiles of C (up to 2 x 16 rows, 2 x 16 columns) stay in registers while the depth runs: a group of 32 steps costs
// two tiles of A, two of B and four products, which hide the loads. The row count of a tile is set so that an image row
// of 14 or 28 pixels wastes nothing.
#include "common/nn/kernels/bf16_simd.h"

// clang 14 spells it without the underline.
#if (defined(__AMX_BF16__) || defined(__AMXBF16__)) && defined(__AVX512BF16__)
#include <immintrin.h>

#include <cstddef>

#include "common/nn/kernels/bf16_pack-inl.h"

namespace tributary::nn {
namespace {

constexpr size_t kTileRows = 16;

// As LDTILECFG reads it.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_a_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {};
};

// The compiler must keep stores of A, B, the stage or the configuration before what reads them: the intrinsics are
// assembly that does not say how much it reads.
inline void MemoryBarrier(const void* read) { __asm__ volatile("" : : "r"(read) : "memory"); }

// Tiles 0-3: C. 4, 5: A. 6, 7: B.
inline void Configure(size_t rows) {
  TileConfig config;
  for (int t = 0; t < 6; ++t) config.rows[t] = static_cast<uint8_t>(rows);
  config.rows[6] = config.rows[7] = kTileRows;
  MemoryBarrier(&config);
  _tile_loadconfig(&config);
}

// 32 x 32 sums between tiles and C, for what tiles cannot do themselves.
using Stage = float[2 * kTileRows][kBf16Panel];

// One or two blocks of rows of C against one panel.
struct Block {
  const Bf16* a[2];
  float* c[2];
  size_t rows;  // of each, as the tiles are configured
  size_t columns;
  const float* bias;  // of the panel, or null
};

inline void LoadStage(const Bf16Args& args, const Block& block, int m, Stage& stage) {
  const __mmask16 masks[2] = {FirstFloats(block.columns),
                              FirstFloats(block.columns < kFloats ? 0 : block.columns - kFloats)};
  for (size_t r = 0; r < block.rows; ++r) {
    const float* from = args.accumulate ? block.c[m] + r * args.ldc : block.bias;
    for (size_t v = 0; v < 2; ++v) {
      const __m512 start = from == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(masks[v], from + v * kFloats);
      _mm512_store_ps(&stage[static_cast<size_t>(m) * kTileRows + r][v * kFloats], start);
    }
  }
}

inline void StoreStage(const Bf16Args& args, const Block& block, int m, const Stage& stage) {
  const __mmask16 masks[2] = {FirstFloats(block.columns),
                              FirstFloats(block.columns < kFloats ? 0 : block.columns - kFloats)};
  // x < floor keeps NaN and, without ReLU, everything.
  const __m512 floor = _mm512_set1_ps(args.relu ? 0.0f : -__builtin_inff());
  for (size_t r = 0; r < block.rows; ++r) {
    for (size_t v = 0; v < 2; ++v) {
      const __m512 sum = _mm512_load_ps(&stage[static_cast<size_t>(m) * kTileRows + r][v * kFloats]);
      const __m512 value = _mm512_mask_mov_ps(sum, _mm512_cmp_ps_mask(sum, floor, _CMP_LT_OQ), floor);
      _mm512_mask_storeu_ps(block.c[m] + r * args.ldc + v * kFloats, masks[v], value);
    }
  }
}

template <bool kTwo>
inline void Products(const Bf16Args& args, const Block& block, const Bf16* b) {
  const size_t groups = (args.depth.inner + kBf16Group - 1) / kBf16Group;
  const size_t stride = args.rows.inner_stride * sizeof(Bf16);
  for (size_t outer = 0; outer < args.depth.outer; ++outer) {
    size_t at = outer * args.depth.outer_stride;
    for (size_t group = 0; group < groups; ++group, at += kBf16Group, b += kBf16GroupSize) {
      _tile_loadd(6, b, 64);
      _tile_loadd(4, block.a[0] + at, stride);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, b + kBf16GroupSize / 2, 64);
      _tile_dpbf16ps(1, 4, 7);
      if (!kTwo) continue;
      _tile_loadd(5, block.a[1] + at, stride);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
}

// Sums start from what `from` holds: a stage, or C itself.
template <bool kTwo>
inline void LoadSums(const float* first, const float* second, size_t stride) {
  _tile_loadd(0, first, stride);
  _tile_loadd(1, first + kFloats, stride);
  if (!kTwo) return;
  _tile_loadd(2, second, stride);
  _tile_loadd(3, second + kFloats, stride);
}
template <bool kTwo>
inline void StoreSums(float* first, float* second, size_t stride) {
  _tile_stored(0, first, stride);
  _tile_stored(1, first + kFloats, stride);
  if (!kTwo) return;
  _tile_stored(2, second, stride);
  _tile_stored(3, second + kFloats, stride);
}

// Tiles read and write C themselves where they cover it exactly and nothing is left to do to the values.
template <bool kTwo>
inline void DirectBlock(const Bf16Args& args, const Block& block, const Bf16* b) {
  if (args.accumulate) {
    LoadSums<kTwo>(block.c[0], block.c[1], args.ldc * sizeof(float));
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  Products<kTwo>(args, block, b);
  StoreSums<kTwo>(block.c[0], block.c[1], args.ldc * sizeof(float));
}

template <bool kTwo>
inline void StagedBlock(const Bf16Args& args, const Block& block, const Bf16* b) {
  alignas(64) Stage stage;
  for (int m = 0; m < (kTwo ? 2 : 1); ++m) LoadStage(args, block, m, stage);
  MemoryBarrier(&stage);
  LoadSums<kTwo>(stage[0], stage[kTileRows], sizeof(stage[0]));
  Products<kTwo>(args, block, b);
  StoreSums<kTwo>(stage[0], stage[kTileRows], sizeof(stage[0]));
  for (int m = 0; m < (kTwo ? 2 : 1); ++m) StoreStage(args, block, m, stage);
}

inline void RunBlock(const Bf16Args& args, const Block& block, bool two, const Bf16* b) {
  const bool bare = args.accumulate || block.bias == nullptr;
  if (bare && !args.relu && block.columns == kBf16Panel) {
    two ? DirectBlock<true>(args, block, b) : DirectBlock<false>(args, block, b);
  } else {
    two ? StagedBlock<true>(args, block, b) : StagedBlock<false>(args, block, b);
  }
}

// Which rows of each run: `blocks` blocks of `rows` rows, from row `first` on.
struct Cut {
  size_t first, blocks, rows;
};

// The rows of a cut against one panel; `a` and `c` are moved to the tap and the panel.
inline void Rows(const Bf16Args& args, const Cut& cut, const Bf16* a, float* c, Block block, const Bf16* b) {
  const Axis& rows = args.rows;
  const auto place = [&](size_t index, int m) {
    const size_t outer = index / cut.blocks, inner = cut.first + index % cut.blocks * cut.rows;
    block.a[m] = a + outer * rows.outer_stride + inner * rows.inner_stride;
    block.c[m] = c + (outer * rows.inner + inner) * args.ldc;
  };
  const size_t blocks = cut.blocks * rows.outer;
  for (size_t index = 0; index < blocks; index += 2) {
    place(index, 0);
    const bool two = index + 1 < blocks;
    if (two) place(index + 1, 1);
    RunBlock(args, block, two, b);
  }
}

inline void RunCut(const Bf16Args& args, const Cut& cut) {
  if (cut.blocks == 0 || cut.rows == 0) return;
  const size_t groups = (args.depth.inner + kBf16Group - 1) / kBf16Group * args.depth.outer;
  const size_t panel_stride = args.panel_stride == 0 ? groups * kBf16GroupSize : args.panel_stride;
  Configure(cut.rows);
  for (size_t j = 0; j < args.n; j += kBf16Panel) {
    Block block = {};
    block.rows = cut.rows;
    block.columns = args.n - j < kBf16Panel ? args.n - j : kBf16Panel;
    block.bias = args.bias == nullptr ? nullptr : args.bias + j;
    const Bf16* b = args.b + j / kBf16Panel * panel_stride;
    for (size_t tap = 0; tap < args.taps.h * args.taps.w; ++tap) {
      const size_t y = tap / args.taps.w, x = tap % args.taps.w;
      const Bf16* a = args.a + y * args.taps.a_h + x * args.taps.a_w;
      Rows(args, cut, a, args.c + tap * args.taps.c + j, block, b);
    }
  }
}

// A run of 29 rows is one block of 15 and one of 14: first all blocks of 15, then all of 14, so that tiles are
// configured twice, and no row is touched that does not exist.
void Gemm(const Bf16Args& args) {
  const size_t inner = args.rows.inner;
  if (inner == 0) return;
  const size_t blocks = (inner + kTileRows - 1) / kTileRows, rows = (inner + blocks - 1) / blocks;
  MemoryBarrier(&args);
  RunCut(args, {0, inner / rows, rows});
  RunCut(args, {inner / rows * rows, inner % rows == 0 ? size_t{0} : size_t{1}, inner % rows});
  _tile_release();
}

constexpr Bf16Kernels kTable = {.isa = "amx", .gemm = Gemm, .pack = Pack, .convert = Convert, .transpose = Transpose};

}  // namespace

const Bf16Kernels* AmxKernels() { return &kTable; }

}  // namespace tributary::nn

#else

namespace tributary::nn {
const Bf16Kernels* AmxKernels() { return nullptr; }
}  // namespace tributary::nn

#endif
