// What this machine can do at most, measured: the limits that speeds are held against. Each figure is the best of five
// short rounds, because machines are shared; measure before and after a case and take the larger.
#ifndef TRIBUTARY_TESTS_BENCH_PEAK_H_
#define TRIBUTARY_TESTS_BENCH_PEAK_H_

#include <cstddef>

namespace tributary::bench {

// Seconds since some fixed instant.
double Now();

// float32 multiply-adds from registers, in this CPU's widest vectors, on `threads` threads together, GFLOP/s.
double FmaPeak(int threads);

// bf16 multiply-adds with float32 sums, operands from L1, on one thread, GFLOP/s: AMX when `isa` (bf16.h) is "amx",
// VDPBF16PS when it is "avx512bf16". 0 for others, or when this build has neither.
double Bf16Peak(const char* isa);

// The a += w * b stream over two arrays of `bytes` each, one thread: GB/s, two reads and a write counted.
double StreamPeak(size_t bytes);

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_PEAK_H_
