// Compiled with instructions that the CPU may lack: nothing is included but intrinsics and C headers.
#include "tests/bench/peak_bf16.h"

#include <stdint.h>
#include <string.h>

#if defined(__AMX_BF16__) && defined(__AVX512BF16__)
#include <immintrin.h>

namespace tributary::bench {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_a_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Two tiles of A, two of B, four products: what a tiled product does at best.
double AmxChains(long steps, float* sink) {
  alignas(64) static uint16_t a[1024], b[1024];
  alignas(64) static float c[256];
  for (int i = 0; i < 1024; ++i) a[i] = b[i] = 0x3f80;
  const TileConfig config;
  __asm__ volatile("" : : "r"(&config), "r"(a), "r"(b) : "memory");
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (long i = 0; i < steps; ++i) {
    _tile_loadd(4, a, 64);
    _tile_loadd(5, a + 512, 64);
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + 512, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, 64);
  _tile_release();
  __asm__ volatile("" : : "r"(c) : "memory");
  *sink = c[0];
  return 4.0 * 16 * 16 * 32 * 2 * static_cast<double>(steps);
}

double VectorChains(long steps, float* sink) {
  __m512 sum[10];
  for (int i = 0; i < 10; ++i) sum[i] = _mm512_set1_ps(0.1f * static_cast<float>(i));
  const __m512bh x = (__m512bh)_mm512_set1_epi16(0x3c00), y = (__m512bh)_mm512_set1_epi16(0x3f80);
  for (long i = 0; i < 16 * steps; ++i) {
#pragma GCC unroll 10
    for (int k = 0; k < 10; ++k) sum[k] = _mm512_dpbf16_ps(sum[k], x, y);
  }
  for (int i = 1; i < 10; ++i) sum[0] += sum[i];
  float lanes[16];
  _mm512_storeu_ps(lanes, sum[0]);
  *sink = lanes[0];
  return 10.0 * 32 * 2 * 16 * static_cast<double>(steps);
}

}  // namespace

bool HasBf16Chains(const char* isa) { return strcmp(isa, "amx") == 0 || strcmp(isa, "avx512bf16") == 0; }
double Bf16Chains(const char* isa, long steps, float* sink) {
  return strcmp(isa, "amx") == 0 ? AmxChains(steps, sink) : VectorChains(steps, sink);
}

}  // namespace tributary::bench

#else

namespace tributary::bench {

bool HasBf16Chains(const char*) { return false; }
double Bf16Chains(const char*, long, float*) { return 0; }

}  // namespace tributary::bench
#endif
