// The matrix product of kernels.h, per instruction set. Included once per Highway target, only by kernels_simd.cc.
//
// A tile of kMaxRows x 2 vectors of C stays in registers while k runs: on AVX-512 16 sums of the 32 registers, enough
// to hide the 4-cycle latency of two FMA ports; loads (8 broadcasts + 2 vectors of B) stay under the FMAs. B goes
// through a packed panel of 2 vectors x kDepth so that its lines do not collide in L1; a panel that is dense already is
// used as is.
#if defined(TRIBUTARY_NN_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TRIBUTARY_NN_GEMM_INL_H_
#undef TRIBUTARY_NN_GEMM_INL_H_
#else
#define TRIBUTARY_NN_GEMM_INL_H_
#endif

#include <cstddef>

#include "common/nn/kernels/kernels.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tributary::nn {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using GemmD = hn::ScalableTag<float>;
using GemmV = hn::Vec<GemmD>;

constexpr size_t kLanes = HWY_LANES(float);
constexpr size_t kPanel = 2 * kLanes;
constexpr size_t kDepth = 256;
// Registers: 2 sums a row, 2 for B, 1 for the broadcast.
constexpr int kMaxRows = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_NEON ? 8 : 6;

// What one tile does before and after its products.
struct TileEnds {
  float* c;
  size_t ldc;
  size_t columns;     // at most kPanel
  bool load_c;        // start from C
  const float* bias;  // else from this, or zeros; has `columns` values
  bool relu;
};

template <int kVectors>
HWY_INLINE void LoadRow(const float* from, size_t columns, GemmV* row) {
  const GemmD d;
  if (columns == kVectors * kLanes) {
    for (int v = 0; v < kVectors; ++v) row[v] = hn::LoadU(d, from + v * kLanes);
    return;
  }
  HWY_ALIGN float padded[kPanel] = {};
  for (size_t j = 0; j < columns; ++j) padded[j] = from[j];
  for (int v = 0; v < kVectors; ++v) row[v] = hn::Load(d, padded + v * kLanes);
}

template <int kVectors>
HWY_INLINE void StoreRow(const GemmV* row, size_t columns, float* to) {
  const GemmD d;
  if (columns == kVectors * kLanes) {
    for (int v = 0; v < kVectors; ++v) hn::StoreU(row[v], d, to + v * kLanes);
    return;
  }
  HWY_ALIGN float padded[kPanel] = {};
  for (int v = 0; v < kVectors; ++v) hn::Store(row[v], d, padded + v * kLanes);
  for (size_t j = 0; j < columns; ++j) to[j] = padded[j];
}

// kRows x kVectors sums over one block of k. `a` has kRows row pointers; `b` advances ldb a step.
template <int kRows, int kVectors>
HWY_NOINLINE void Tile(const float* const* a, const Axis& depth, const float* b, size_t ldb, const TileEnds& ends) {
  const GemmD d;
  GemmV sum[kRows][kVectors];
  if (ends.load_c) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) LoadRow<kVectors>(ends.c + r * ends.ldc, ends.columns, sum[r]);
  } else if (ends.bias != nullptr) {
    GemmV bias[kVectors];
    LoadRow<kVectors>(ends.bias, ends.columns, bias);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v] = bias[v];
    }
  } else {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
    }
  }
  for (size_t outer = 0; outer < depth.outer; ++outer) {
    const float* row[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) row[r] = a[r] + outer * depth.outer_stride;
    size_t at = 0;
    for (size_t inner = 0; inner < depth.inner; ++inner, at += depth.inner_stride, b += ldb) {
      GemmV bv[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) bv[v] = hn::LoadU(d, b + v * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const GemmV av = hn::Set(d, row[r][at]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
      }
    }
  }
  if (ends.relu) {
    const GemmV zero = hn::Zero(d);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::IfThenZeroElse(hn::Lt(sum[r][v], zero), sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) StoreRow<kVectors>(sum[r], ends.columns, ends.c + r * ends.ldc);
}

using TileFn = void (*)(const float* const*, const Axis&, const float*, size_t, const TileEnds&);

template <int kVectors>
TileFn TileFor(size_t rows) {
  static constexpr TileFn kTiles[8] = {Tile<1, kVectors>, Tile<2, kVectors>, Tile<3, kVectors>, Tile<4, kVectors>,
                                       Tile<5, kVectors>, Tile<6, kVectors>, Tile<7, kVectors>, Tile<8, kVectors>};
  return kTiles[rows - 1];
}

// `steps` rows of `columns` floats, padded with zeros to kPanel, dense.
HWY_INLINE void PackPanel(const float* b, size_t ldb, size_t steps, size_t columns, float* to) {
  for (size_t k = 0; k < steps; ++k, b += ldb, to += kPanel) {
    GemmV row[2];
    LoadRow<2>(b, columns, row);
    hn::StoreU(row[0], GemmD(), to);
    hn::StoreU(row[1], GemmD(), to + kLanes);
  }
}

// All rows of C, `ends.columns` columns, over one block of k.
HWY_INLINE void RowBlocks(const GemmArgs& args, const float* a, const Axis& depth, const float* b, size_t ldb,
                          TileEnds ends) {
  const size_t rows = args.rows.size();
  const size_t blocks = (rows + kMaxRows - 1) / kMaxRows;
  const bool narrow = ends.columns <= kLanes;
  const float* base[kMaxRows];
  size_t inner = 0;  // of the next row
  const float* outer_base = a;
  for (size_t block = 0; block < blocks; ++block) {
    // As even as can be: 9 rows are 5 and 4, not 8 and a lonely one that waits for its own latency.
    const size_t height = rows / blocks + (block < rows % blocks ? 1 : 0);
    for (size_t r = 0; r < height; ++r) {
      base[r] = outer_base + inner * args.rows.inner_stride;
      if (++inner == args.rows.inner) {
        inner = 0;
        outer_base += args.rows.outer_stride;
      }
    }
    (narrow ? TileFor<1>(height) : TileFor<2>(height))(base, depth, b, ldb, ends);
    ends.c += height * ends.ldc;
  }
}

// One block of k: `depth` steps from a, B's rows from b.
HWY_INLINE void DepthBlock(const GemmArgs& args, const float* a, const Axis& depth, const float* b, bool first,
                           bool last, float* scratch) {
  for (size_t j = 0; j < args.n; j += kPanel) {
    const size_t columns = HWY_MIN(kPanel, args.n - j);
    const bool dense = args.ldb == kPanel && columns == kPanel;
    if (!dense) PackPanel(b + j, args.ldb, depth.size(), columns, scratch);
    const float* bias = args.bias == nullptr ? nullptr : args.bias + j;
    const TileEnds ends = {args.c + j, args.ldc, columns, args.accumulate || !first, bias, args.relu && last};
    RowBlocks(args, a, depth, dense ? b + j : scratch, kPanel, ends);
  }
}

void Gemm(const GemmArgs& args, float* scratch) {
  const Axis& depth = args.depth;
  if (depth.size() == 0) {
    DepthBlock(args, args.a, {0, 0, 1, 0}, args.b, true, true, scratch);
    return;
  }
  // Whole inner runs as long as they fit, else pieces of one run.
  const size_t runs = depth.inner >= kDepth ? 1 : HWY_MIN(depth.outer, kDepth / depth.inner);
  const size_t piece = HWY_MIN(depth.inner, kDepth);
  for (size_t outer = 0; outer < depth.outer; outer += runs) {
    for (size_t inner = 0; inner < depth.inner; inner += piece) {
      const Axis block = {HWY_MIN(piece, depth.inner - inner), depth.inner_stride, HWY_MIN(runs, depth.outer - outer),
                          depth.outer_stride};
      const float* a = args.a + outer * depth.outer_stride + inner * depth.inner_stride;
      const float* b = args.b + (outer * depth.inner + inner) * args.ldb;
      const bool last = outer + runs >= depth.outer && inner + piece >= depth.inner;
      DepthBlock(args, a, block, b, outer == 0 && inner == 0, last, scratch);
    }
  }
}

// Small squares, so that both sides stay within few lines of cache.
void Transpose(const float* src, size_t rows, size_t cols, size_t lds, float* dst, size_t ldd) {
  constexpr size_t kSquare = 16;
  for (size_t r0 = 0; r0 < rows; r0 += kSquare) {
    for (size_t c0 = 0; c0 < cols; c0 += kSquare) {
      for (size_t c = c0; c < HWY_MIN(cols, c0 + kSquare); ++c) {
        for (size_t r = r0; r < HWY_MIN(rows, r0 + kSquare); ++r) dst[c * ldd + r] = src[r * lds + c];
      }
    }
  }
}

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace tributary::nn
HWY_AFTER_NAMESPACE();

#endif  // TRIBUTARY_NN_GEMM_INL_H_
