// What computes on this machine. The name stands in contributions, records and models: equal names, seeds and data give
// equal bits.
// Threads: all functions are safe from any thread; the choice is made once per process.
#ifndef TRIBUTARY_COMMON_NN_ENGINE_H_
#define TRIBUTARY_COMMON_NN_ENGINE_H_

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/nn/network.h"

namespace tributary::nn {

// "version/instruction set/precision", e.g. "0.1.0/avx512/float32" or "0.1.0/amx/bf16". The instruction set is the best
// that this CPU has for the precision, or a lower one that the environment variable TRIBUTARY_ISA names (amx,
// avx512bf16, avx512, avx2, sse4, ssse3, scalar or emu128; neon on arm64). Call it for kBf16 only where HasBf16().
std::string EngineName(Precision precision = Precision::kFloat32);

// For people: "0.1.0/avx512/float32 and 0.1.0/amx/bf16, 2 threads", or "..., no bf16".
std::string DescribeEngines();

// Whether this machine can train in bf16: AMX or AVX-512-BF16, and TRIBUTARY_ISA does not rule it out.
bool HasBf16();
// FAILED_PRECONDITION: what a machine without it says.
absl::Status NoBf16();

// INVALID_ARGUMENT when TRIBUTARY_ISA names a set that this CPU lacks or that does not exist, listing those it has; the
// engine then uses the best one. Daemons call it at start, before any thread, and refuse to run.
absl::Status CheckEngine();

// The instruction sets that this CPU can run, best first; for kBf16 maybe none.
std::vector<std::string> SupportedIsas(Precision precision = Precision::kFloat32);

// min(cores this process may use, cgroup CPU quota rounded up, OMP_NUM_THREADS when set), at least 1. Right for one
// training process on a machine. Several on one machine must use 1 each.
int DefaultThreads();

// Keeps OpenMP's threads from spinning for milliseconds while they wait for each other: on a machine with other work
// that makes two threads a hundred times slower than one. GNU's OpenMP reads its settings before main, so this starts
// the program anew, once, with GOMP_SPINCOUNT set. Call it first in main, before any thread, file or output. Does
// nothing when GOMP_SPINCOUNT or OMP_WAIT_POLICY is set already, and goes on as it is when the restart fails.
void BoundThreadSpinning(char** argv);

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_ENGINE_H_
