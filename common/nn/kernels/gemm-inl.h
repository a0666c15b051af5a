// The matrix product of kernels.h, per instruction set. Included once per Highway target, only by kernels_simd.cc.
//
// A tile of rows x 2 vectors of C stays in registers while k runs: on AVX-512 up to 14 rows, 28 sums of the 32
// registers. That hides the 4-cycle latency of two FMA ports, keeps the loads (14 broadcasts + 2 vectors of B) under
// the FMAs, and takes so few bytes of B a cycle that B may stream from L2 through the whole depth. B goes through a
// packed panel of 2 vectors x kDepth, so that its lines do not collide; where nothing is read twice it is used as it
// lies. A B too large for the caches is packed several panels at a time: then its rows are read in long stretches,
// which the hardware fetches ahead; two lines out of each long row it does not, and each waits for L3.
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
constexpr bool kManyRegisters = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_NEON;
constexpr size_t kDepth = kManyRegisters ? 1024 : 256;  // a panel of B: in L2, or in L1
constexpr size_t kTogether =
    kManyRegisters ? 8 : 1;  // panels of a B of more than kCached floats, each as much shallower
constexpr size_t kCached = size_t{1} << 18;
// Registers: 2 sums a row, 2 for B, 1 for the broadcast.
constexpr int kMaxRows = kManyRegisters ? 14 : 6;
constexpr int kMaxScattered = kManyRegisters ? 8 : 6;  // their addresses take a register each

// What one tile does before and after its products.
struct TileEnds {
  float* c;
  size_t ldc;
  size_t columns;     // at most kPanel
  bool load_c;        // start from C
  const float* bias;  // else from this, or zeros; has `columns` values
  bool relu;
};

// The first `n` floats of a row of kVectors vectors. The rest is neither read (0 instead) nor written.
template <int kVectors>
class Columns {
 public:
// Highway's scalar MaskedLoad reads first and masks then, whatever HWY_MEM_OPS_MIGHT_FAULT says.
#if HWY_MEM_OPS_MIGHT_FAULT || HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  HWY_INLINE explicit Columns(size_t n) : n_(n) {}
  HWY_INLINE GemmV Load(const float* from, int v) const {
    if (n_ >= (v + 1) * kLanes) return hn::LoadU(GemmD(), from + v * kLanes);
    HWY_ALIGN float padded[kLanes] = {};
    for (size_t j = v * kLanes; j < n_; ++j) padded[j - v * kLanes] = from[j];
    return hn::Load(GemmD(), padded);
  }
  HWY_INLINE void Store(GemmV value, float* to, int v) const {
    if (n_ >= (v + 1) * kLanes) return hn::StoreU(value, GemmD(), to + v * kLanes);
    HWY_ALIGN float padded[kLanes];
    hn::Store(value, GemmD(), padded);
    for (size_t j = v * kLanes; j < n_; ++j) to[j] = padded[j - v * kLanes];
  }

 private:
  const size_t n_;
#else
  HWY_INLINE explicit Columns(size_t n) {
    for (int v = 0; v < kVectors; ++v) {
      const size_t before = v * kLanes;
      mask_[v] = hn::FirstN(GemmD(), n <= before ? 0 : HWY_MIN(n - before, kLanes));
    }
  }
  HWY_INLINE GemmV Load(const float* from, int v) const { return hn::MaskedLoad(mask_[v], GemmD(), from + v * kLanes); }
  HWY_INLINE void Store(GemmV value, float* to, int v) const {
    hn::BlendedStore(value, mask_[v], GemmD(), to + v * kLanes);
  }

 private:
  hn::Mask<GemmD> mask_[kVectors];
#endif
};

// Where a tile's rows of A stand as k runs, in three forms.
// Rows at one distance: three rows share a pointer, which x86 addresses without further arithmetic.
template <int kRows>
struct EvenRows {
  HWY_INLINE EvenRows(const float* a, size_t row_stride) : stride(row_stride) {
#pragma GCC unroll 5
    for (int g = 0; g < (kRows + 2) / 3; ++g) group[g] = a + 3 * g * row_stride;
  }
  HWY_INLINE float operator()(int r) const { return group[r / 3][r % 3 * stride]; }
  HWY_INLINE void Advance(size_t by) {
#pragma GCC unroll 5
    for (int g = 0; g < (kRows + 2) / 3; ++g) group[g] += by;
  }
  const float* group[(kRows + 2) / 3];
  size_t stride;
};
// Rows side by side: a transposed A.
template <int kRows>
struct AdjacentRows {
  HWY_INLINE AdjacentRows(const float* a, size_t) : first(a) {}
  HWY_INLINE float operator()(int r) const { return first[r]; }
  HWY_INLINE void Advance(size_t by) { first += by; }
  const float* first;
};
// Rows anywhere.
template <int kRows>
struct ScatteredRows {
  HWY_INLINE ScatteredRows(const float* const* rows, size_t) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) row[r] = rows[r];
  }
  HWY_INLINE float operator()(int r) const { return row[r][at]; }
  HWY_INLINE void Advance(size_t by) { at += by; }
  const float* row[kRows];
  size_t at = 0;
};

template <int kRows, int kVectors>
HWY_INLINE void StartTile(const TileEnds& ends, const Columns<kVectors>& columns, GemmV sum[][kVectors]) {
  if (ends.load_c) {
#pragma GCC unroll 14
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v] = columns.Load(ends.c + r * ends.ldc, v);
    }
    return;
  }
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const GemmV start = ends.bias == nullptr ? hn::Zero(GemmD()) : columns.Load(ends.bias, v);
#pragma GCC unroll 14
    for (int r = 0; r < kRows; ++r) sum[r][v] = start;
  }
}

template <int kRows, int kVectors>
HWY_INLINE void FinishTile(const TileEnds& ends, const Columns<kVectors>& columns, GemmV sum[][kVectors]) {
  // Below every float: keeps all values, NaN too (x < -inf is never true).
  const GemmV floor = hn::Set(GemmD(), ends.relu ? 0.0f : -__builtin_inff());
#pragma GCC unroll 14
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const GemmV value = hn::IfThenElse(hn::Lt(sum[r][v], floor), floor, sum[r][v]);
      columns.Store(value, ends.c + r * ends.ldc, v);
    }
  }
}

// kRows x kVectors sums over one block of k; `b` advances ldb a step.
template <int kRows, int kVectors, class Rows, class Start>
HWY_NOINLINE void Tile(Start a, size_t row_stride, const Axis& depth, const float* b, size_t ldb,
                       const TileEnds& ends) {
  const GemmD d;
  const Columns<kVectors> columns(ends.columns);
  GemmV sum[kRows][kVectors];
  StartTile<kRows, kVectors>(ends, columns, sum);
  Rows run(a, row_stride);
  const size_t inner = depth.inner, step = depth.inner_stride, next_run = depth.outer_stride - inner * step;
  for (size_t outer = 0; outer < depth.outer; ++outer) {
    for (size_t i = 0; i < inner; ++i) {
      GemmV bv[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) bv[v] = hn::LoadU(d, b + v * kLanes);
#pragma GCC unroll 14
      for (int r = 0; r < kRows; ++r) {
        const GemmV av = hn::Set(d, run(r));
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
      }
      run.Advance(step);
      b += ldb;
    }
    run.Advance(next_run);
  }
  FinishTile<kRows, kVectors>(ends, columns, sum);
}

template <class Start>
using TileFn = void (*)(Start, size_t, const Axis&, const float*, size_t, const TileEnds&);

// The tile for 1 to kMost rows. Start is what Rows<n> begins from.
template <int kMost, int kVectors, template <int> class Rows, class Start>
TileFn<Start> TileFor(size_t rows) {
  static constexpr TileFn<Start> kTiles[14] = {Tile<1, kVectors, Rows<1>, Start>,
                                               Tile<2, kVectors, Rows<2>, Start>,
                                               Tile<3, kVectors, Rows<3>, Start>,
                                               Tile<4, kVectors, Rows<4>, Start>,
                                               Tile<5, kVectors, Rows<5>, Start>,
                                               Tile<6, kVectors, Rows<6>, Start>,
                                               Tile<HWY_MIN(7, kMost), kVectors, Rows<HWY_MIN(7, kMost)>, Start>,
                                               Tile<HWY_MIN(8, kMost), kVectors, Rows<HWY_MIN(8, kMost)>, Start>,
                                               Tile<HWY_MIN(9, kMost), kVectors, Rows<HWY_MIN(9, kMost)>, Start>,
                                               Tile<HWY_MIN(10, kMost), kVectors, Rows<HWY_MIN(10, kMost)>, Start>,
                                               Tile<HWY_MIN(11, kMost), kVectors, Rows<HWY_MIN(11, kMost)>, Start>,
                                               Tile<HWY_MIN(12, kMost), kVectors, Rows<HWY_MIN(12, kMost)>, Start>,
                                               Tile<HWY_MIN(13, kMost), kVectors, Rows<HWY_MIN(13, kMost)>, Start>,
                                               Tile<HWY_MIN(14, kMost), kVectors, Rows<HWY_MIN(14, kMost)>, Start>};
  return kTiles[rows - 1];
}

template <template <int> class Rows>
TileFn<const float*> RunTile(size_t rows, bool narrow) {
  return narrow ? TileFor<kMaxRows, 1, Rows, const float*>(rows) : TileFor<kMaxRows, 2, Rows, const float*>(rows);
}

// `steps` rows of `columns` floats as panels of [steps][kPanel], one after the other, the last one padded with zeros.
HWY_INLINE void PackPanels(const float* b, size_t ldb, size_t steps, size_t columns, float* to) {
  const size_t whole = columns / kPanel, rest = columns % kPanel;
  const Columns<2> part(rest);
  for (size_t k = 0; k < steps; ++k, b += ldb, to += kPanel) {
    for (size_t p = 0; p < whole; ++p) {
      hn::StoreU(hn::LoadU(GemmD(), b + p * kPanel), GemmD(), to + p * steps * kPanel);
      hn::StoreU(hn::LoadU(GemmD(), b + p * kPanel + kLanes), GemmD(), to + p * steps * kPanel + kLanes);
    }
    if (rest == 0) continue;
    hn::StoreU(part.Load(b + whole * kPanel, 0), GemmD(), to + whole * steps * kPanel);
    hn::StoreU(part.Load(b + whole * kPanel, 1), GemmD(), to + whole * steps * kPanel + kLanes);
  }
}

// `rows` rows at one distance. Cut as evenly as can be: 15 rows are 8 and 7, not 14 and a lonely one that waits for its
// own latency.
HWY_INLINE void RunBlocks(const float* a, size_t rows, size_t stride, const Axis& depth, const float* b, size_t ldb,
                          TileEnds ends) {
  const size_t blocks = (rows + kMaxRows - 1) / kMaxRows;
  const bool narrow = ends.columns <= kLanes;
  for (size_t block = 0; block < blocks; ++block) {
    const size_t height = rows / blocks + (block < rows % blocks ? 1 : 0);
    const auto tile = stride == 1 ? RunTile<AdjacentRows>(height, narrow) : RunTile<EvenRows>(height, narrow);
    tile(a, stride, depth, b, ldb, ends);
    a += height * stride;
    ends.c += height * ends.ldc;
  }
}

// Rows of short runs, several runs a tile.
HWY_INLINE void ScatteredBlocks(const float* a, const Axis& rows, const Axis& depth, const float* b, size_t ldb,
                                TileEnds ends) {
  const size_t blocks = (rows.size() + kMaxScattered - 1) / kMaxScattered;
  const bool narrow = ends.columns <= kLanes;
  const float* base[kMaxScattered];
  size_t inner = 0;  // of the next row
  for (size_t block = 0; block < blocks; ++block) {
    const size_t height = rows.size() / blocks + (block < rows.size() % blocks ? 1 : 0);
    for (size_t r = 0; r < height; ++r) {
      base[r] = a + inner * rows.inner_stride;
      if (++inner == rows.inner) {
        inner = 0;
        a += rows.outer_stride;
      }
    }
    using Start = const float* const*;
    const auto tile = narrow ? TileFor<kMaxScattered, 1, ScatteredRows, Start>(height)
                             : TileFor<kMaxScattered, 2, ScatteredRows, Start>(height);
    tile(base, 0, depth, b, ldb, ends);
    ends.c += height * ends.ldc;
  }
}

// All rows of C, `ends.columns` columns, over one block of k.
HWY_INLINE void RowBlocks(const float* a, const Axis& rows, const Axis& depth, const float* b, size_t ldb,
                          TileEnds ends) {
  if (rows.outer > 1 && rows.inner < 5) return ScatteredBlocks(a, rows, depth, b, ldb, ends);
  for (size_t outer = 0; outer < rows.outer; ++outer) {
    RunBlocks(a + outer * rows.outer_stride, rows.inner, rows.inner_stride, depth, b, ldb, ends);
    ends.c += rows.inner * ends.ldc;
  }
}

// One block of k: `depth` steps from a, B's rows from b, `together` panels packed at a time.
HWY_INLINE void DepthBlock(const GemmArgs& args, const float* a, const Axis& depth, const float* b, bool first,
                           bool last, size_t together, float* scratch) {
  for (size_t j = 0; j < args.n; j += kPanel) {
    const size_t columns = HWY_MIN(kPanel, args.n - j), behind = j % (together * kPanel);
    const bool whole = columns == kPanel || columns == kLanes;
    const bool in_place = together == 1 && whole && (args.ldb == kPanel || args.rows.size() <= kMaxRows);
    if (!in_place && behind == 0) {
      PackPanels(b + j, args.ldb, depth.size(), HWY_MIN(together * kPanel, args.n - j), scratch);
    }
    const float* bias = args.bias == nullptr ? nullptr : args.bias + j;
    const TileEnds ends = {args.c + j, args.ldc, columns, args.accumulate || !first, bias, args.relu && last};
    RowBlocks(a, args.rows, depth, in_place ? b + j : scratch + behind * depth.size(), in_place ? args.ldb : kPanel,
              ends);
  }
}

HWY_INLINE size_t PanelsTogether(const GemmArgs& args) {
  if (args.depth.size() * args.ldb <= kCached || args.rows.size() <= kMaxRows) return 1;
  return HWY_MIN(kTogether, (args.n + kPanel - 1) / kPanel);
}

void Gemm(const GemmArgs& args, float* scratch) {
  const Axis& depth = args.depth;
  if (depth.size() == 0) {
    DepthBlock(args, args.a, {0, 0, 1, 0}, args.b, true, true, 1, scratch);
    return;
  }
  const size_t together = PanelsTogether(args), most = kDepth / together;
  // Whole inner runs as long as they fit, else pieces of one run.
  const size_t runs = depth.inner >= most ? 1 : HWY_MIN(depth.outer, most / depth.inner);
  const size_t piece = HWY_MIN(depth.inner, most);
  for (size_t outer = 0; outer < depth.outer; outer += runs) {
    for (size_t inner = 0; inner < depth.inner; inner += piece) {
      const Axis block = {HWY_MIN(piece, depth.inner - inner), depth.inner_stride, HWY_MIN(runs, depth.outer - outer),
                          depth.outer_stride};
      const float* a = args.a + outer * depth.outer_stride + inner * depth.inner_stride;
      const float* b = args.b + (outer * depth.inner + inner) * args.ldb;
      const bool last = outer + runs >= depth.outer && inner + piece >= depth.inner;
      DepthBlock(args, a, block, b, outer == 0 && inner == 0, last, together, scratch);
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
