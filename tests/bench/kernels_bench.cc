// Every kernel of common/nn/kernels on the shapes of the presets, with Google Benchmark, one thread: GFLOP/s beside the
// multiply-add peak, GB/s beside the a += w * b stream of the same size, both measured before and after in this run,
// the larger counting. Each case is checked against its reference first; a wrong one is not timed and fails the run.
// The best of the repetitions is shown: machines are shared. Usage: kernels_bench [--benchmark_filter=REGEX]
// [--benchmark_min_time=S] [--benchmark_out=FILE.json] ...
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/nn/engine.h"
#include "common/nn/kernels/bf16.h"
#include "common/nn/kernels/parallel.h"
#include "tests/bench/kernel_case.h"
#include "tests/bench/machine.h"
#include "tests/bench/peak.h"

namespace tributary::bench {
namespace {

// What the machine can do, the larger of all measurements.
class Limits {
 public:
  void Measure() {
    fma_ = std::max(fma_, FmaPeak(1));
    if (nn::HasBf16()) bf16_ = std::max(bf16_, Bf16Peak(nn::FindBf16Kernels()->isa));
    for (const size_t size :
         {size_t{8} << 10, size_t{256} << 10, size_t{2} << 20, size_t{16} << 20, size_t{64} << 20}) {
      stream_[size] = std::max(stream_[size], StreamPeak(size));
    }
  }
  double peak(const KernelCase& c) const { return c.bf16 ? bf16_ : fma_; }
  // Of the smallest stream that moves as many bytes as the case: it lies in the same cache.
  double stream(const KernelCase& c) const {
    for (const auto& [size, rate] : stream_) {
      if (3.0 * static_cast<double>(size) >= c.bytes) return rate;
    }
    return stream_.rbegin()->second;
  }
  std::string Line() const {
    std::string line = absl::StrFormat("float32 peak %.0f GFLOP/s, bf16 peak %.0f GFLOP/s, stream", fma_, bf16_);
    for (const auto& [size, rate] : stream_)
      absl::StrAppendFormat(&line, " %.0f GB/s at 2 x %d KiB,", rate, size >> 10);
    line.back() = '.';
    return line;
  }

 private:
  double fma_ = 0, bf16_ = 0;
  std::map<size_t, double> stream_;  // by bytes of each of its two arrays
};

// Keeps the best time of each case for the table at the end.
class Collector final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
      const double seconds = run.real_accumulated_time / static_cast<double>(run.iterations);
      const auto [at, added] = seconds_.emplace(run.run_name.function_name, seconds);
      if (!added) at->second = std::min(at->second, seconds);
    }
  }
  const std::map<std::string, double>& seconds() const { return seconds_; }

 private:
  std::map<std::string, double> seconds_;
};

void Time(benchmark::State& state, const KernelCase& c) {
  const nn::FlushDenormals flush;
  for (auto _ : state) {
    c.run();
    benchmark::ClobberMemory();
  }
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  if (c.flops > 0) state.counters["FLOP/s"] = benchmark::Counter(c.flops, rate);
  if (c.bytes > 0) state.counters["B/s"] = benchmark::Counter(c.bytes, rate);
}

// False when a case is wrong.
bool Register(const std::vector<KernelCase>& cases) {
  bool right = true;
  for (const KernelCase& c : cases) {
    const nn::FlushDenormals flush;
    const std::string fault = c.check();
    if (!fault.empty()) {
      std::fprintf(stderr, "WRONG, not timed: %s: %s\n", c.name.c_str(), fault.c_str());
      right = false;
      continue;
    }
    benchmark::RegisterBenchmark(c.name.c_str(), [&c](benchmark::State& state) { Time(state, c); })->UseRealTime();
  }
  return right;
}

void Print(const std::vector<KernelCase>& cases, const Collector& collector, const Limits& limits) {
  std::printf("%s\n\n| kernel | µs | GFLOP/s | of the peak | GB/s | of the stream |\n|---|---|---|---|---|---|\n",
              limits.Line().c_str());
  for (const KernelCase& c : cases) {
    const auto found = collector.seconds().find(c.name);
    if (found == collector.seconds().end()) continue;
    const double gflops = c.flops / found->second * 1e-9, gbps = c.bytes / found->second * 1e-9;
    std::string row = absl::StrFormat("| %s | %.2f |", c.name, found->second * 1e6);
    absl::StrAppend(&row,
                    c.flops > 0 ? absl::StrFormat(" %.1f | %.0f %% |", gflops, 100 * gflops / limits.peak(c)) : " | |");
    absl::StrAppend(&row,
                    c.bytes > 0 ? absl::StrFormat(" %.1f | %.0f %% |", gbps, 100 * gbps / limits.stream(c)) : " | |");
    std::printf("%s\n", row.c_str());
  }
}

int Main() {
  PrintMachine();
  for (const auto& [name, value] : DescribeMachine()) benchmark::AddCustomContext(name, value);
  std::vector<KernelCase> cases = LayerCases();
  for (auto* more : {&ImageCases, &ParameterCases}) {
    for (KernelCase& c : more()) cases.push_back(std::move(c));
  }
  Limits limits;
  limits.Measure();
  benchmark::AddCustomContext("limits_before", limits.Line());
  const bool right = Register(cases);
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  limits.Measure();
  Print(cases, collector, limits);
  return right ? 0 : 1;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  char min_time[] = "--benchmark_min_time=0.05", repetitions[] = "--benchmark_repetitions=5";
  std::vector<char*> arguments = {argv[0], min_time, repetitions};  // what is given later wins
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  return tributary::bench::Main();
}
