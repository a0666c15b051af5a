// What peak_bf16.cc gives to peak.cc, and to nobody else.
#ifndef TRIBUTARY_TESTS_BENCH_PEAK_BF16_H_
#define TRIBUTARY_TESTS_BENCH_PEAK_BF16_H_

namespace tributary::bench {

// Whether this build has chains of products for `isa`. Whether the CPU has them is for the caller to know.
bool HasBf16Chains(const char* isa);
// Runs `steps` of them; returns the floating-point operations.
double Bf16Chains(const char* isa, long steps, float* sink);

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_PEAK_BF16_H_
