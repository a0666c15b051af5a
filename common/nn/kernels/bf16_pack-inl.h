// Conversions and layouts of bf16.h in AVX-512, shared by bf16_amx.cc and bf16_avx512.cc. Included by nothing else; all
// of it has internal linkage (see linkage_test.py).
#ifndef TRIBUTARY_COMMON_NN_KERNELS_BF16_PACK_INL_H_
#define TRIBUTARY_COMMON_NN_KERNELS_BF16_PACK_INL_H_

#include <immintrin.h>

#include <cstddef>

#include "common/nn/kernels/bf16.h"

namespace tributary::nn {
namespace {

constexpr size_t kFloats = 16;  // in a vector

inline __mmask16 FirstFloats(size_t n) {
  return n >= kFloats ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1u << n) - 1);
}

// 16 floats from `row` (null: zeros), rounded, each in the lower half of a 32-bit lane.
inline __m512i RoundedLanes(const float* row, __mmask16 mask) {
  const __m512 v = row == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, row);
  return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}

// Rows of a weight matrix lie pages apart: the processor does not guess the next ones.
constexpr size_t kAhead = 16;  // rows
inline void PrefetchRow(const float* row) {
  if (row == nullptr) return;
  _mm_prefetch(reinterpret_cast<const char*>(row), _MM_HINT_T0);
  _mm_prefetch(reinterpret_cast<const char*>(row + kFloats), _MM_HINT_T0);
}

// Two steps of the depth lie side by side, as the instructions take them: [vector][step / 2][column][step % 2].
void Pack(const float* const* rows, size_t depth, size_t columns, Bf16* to) {
  const __mmask16 masks[2] = {FirstFloats(columns), FirstFloats(columns < kFloats ? 0 : columns - kFloats)};
  for (size_t group = 0; group < depth; group += kBf16Group, to += kBf16GroupSize) {
    for (size_t pair = 0; pair < kBf16Group / 2; ++pair) {
      const float* even = rows[group + 2 * pair];
      const float* odd = rows[group + 2 * pair + 1];
      if (group + 2 * pair + kAhead + 1 < depth) {
        PrefetchRow(rows[group + 2 * pair + kAhead]);
        PrefetchRow(rows[group + 2 * pair + kAhead + 1]);
      }
      for (size_t v = 0; v < 2; ++v) {
        const size_t at = v * kFloats;
        const __m512i low = RoundedLanes(even == nullptr ? nullptr : even + at, masks[v]);
        const __m512i high = RoundedLanes(odd == nullptr ? nullptr : odd + at, masks[v]);
        const __m512i both = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
        _mm512_storeu_si512(to + v * (kBf16GroupSize / 2) + pair * kBf16Group, both);
      }
    }
  }
}

void Convert(const float* from, size_t n, Bf16* to) {
  for (size_t i = 0; i < n; i += kFloats) {
    const __mmask16 mask = FirstFloats(n - i);
    const __m256bh v = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from + i));
    _mm256_mask_storeu_epi16(to + i, mask, reinterpret_cast<__m256i>(v));
  }
}

// A square of 16 x 16 in registers.
inline void TransposeSquare(__m512 (&r)[16]) {
  __m512 t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512d a = _mm512_castps_pd(t[4 * i]), b = _mm512_castps_pd(t[4 * i + 1]);
    const __m512d c = _mm512_castps_pd(t[4 * i + 2]), d = _mm512_castps_pd(t[4 * i + 3]);
    r[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    r[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    r[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    r[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
  }
  // Now r[4 i + j] holds, in its 128-bit lane l, column 4 l + j of rows 4 i to 4 i + 3: move lanes.
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    t[j] = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88);
    t[4 + j] = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xDD);
    t[8 + j] = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88);
    t[12 + j] = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xDD);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    r[j] = _mm512_shuffle_f32x4(t[j], t[8 + j], 0x88);
    r[8 + j] = _mm512_shuffle_f32x4(t[j], t[8 + j], 0xDD);
    r[4 + j] = _mm512_shuffle_f32x4(t[4 + j], t[12 + j], 0x88);
    r[12 + j] = _mm512_shuffle_f32x4(t[4 + j], t[12 + j], 0xDD);
  }
}

void Transpose(const float* from, size_t rows, size_t cols, size_t ldf, Bf16* to, size_t ldt) {
  for (size_t r0 = 0; r0 < rows; r0 += kFloats) {
    const size_t height = rows - r0 < kFloats ? rows - r0 : kFloats;
    for (size_t c0 = 0; c0 < cols; c0 += kFloats) {
      const size_t width = cols - c0 < kFloats ? cols - c0 : kFloats;
      __m512 square[16];
#pragma GCC unroll 16
      for (size_t i = 0; i < kFloats; ++i) {
        square[i] =
            i < height ? _mm512_maskz_loadu_ps(FirstFloats(width), from + (r0 + i) * ldf + c0) : _mm512_setzero_ps();
      }
      TransposeSquare(square);
#pragma GCC unroll 16
      for (size_t i = 0; i < kFloats; ++i) {
        if (i >= width) continue;
        const __m256bh v = _mm512_cvtneps_pbh(square[i]);
        _mm256_mask_storeu_epi16(to + (c0 + i) * ldt + r0, FirstFloats(height), reinterpret_cast<__m256i>(v));
      }
    }
  }
}

}  // namespace
}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_KERNELS_BF16_PACK_INL_H_
