// How fast a network trains, in images a second, beside the FMA peak that this machine showed in the same run. A plain
// program, not a test: machines are shared and figures vary. Usage: train_bench [seconds a case, default 1 [case]],
// where `case` picks those whose line begins with it, e.g. "fedavg-cnn sgd".
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/nn/engine.h"
#include "common/nn/kernels/kernels.h"
#include "common/nn/network.h"
#include "common/nn/optimizer.h"
#include "tributary/v1/model.pb.h"

namespace tributary::nn {
namespace {

double Now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Multiply-adds of one example's forward pass, padding counted.
double ForwardFlops(const LayerSpec& layer) {
  const double per_output = layer.kernel_size == 0 ? 0 : static_cast<double>(layer.kernel_size / layer.out.c);
  return 2 * per_output * static_cast<double>(layer.out.size());
}

// Forward, weight gradient and input gradient, the last not for the first layer.
double TrainFlops(const ModelDescription& model) {
  double flops = 0;
  bool first = true;
  for (const LayerSpec& layer : model.layers()) {
    flops += ForwardFlops(layer) * (first ? 2 : 3);
    if (layer.kernel_size > 0) first = false;
  }
  return flops;
}

// GFLOP/s of a product whose operands stay in L1: what the multiply-add units give, through our own kernel.
double PeakGflops() {
  const Kernels& kernels = *FindKernels();
  const size_t m = 48, k = 128, n = kernels.gemm_panel;
  std::vector<float> a(m * k, 0.5f), b(k * n, 0.25f), c(m * n), scratch(kernels.gemm_scratch);
  GemmArgs args;
  args.a = a.data(), args.rows = {m, k}, args.depth = {k, 1};
  args.b = b.data(), args.ldb = n, args.n = n, args.c = c.data(), args.ldc = n;
  constexpr int kCalls = 20000;
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const double start = Now();
    for (int i = 0; i < kCalls; ++i) kernels.gemm(args, scratch.data());
    best = std::max(best, 2e-9 * static_cast<double>(m * n * k) * kCalls / (Now() - start));
  }
  return best;
}

struct Case {
  const char* preset;
  const char* optimizer_name;
  OptimizerKind optimizer;
  size_t batch;
  Precision precision = Precision::kFloat32;
};

double ImagesPerSecond(const ModelDescription& model, const Case& c, int threads, double seconds) {
  auto network = Network::Create(model, {.max_batch = c.batch, .threads = threads, .gradients = false, .precision = c.precision}).value();
  auto optimizer = Optimizer::Create(model, {.kind = c.optimizer, .threads = threads}).value();
  network->InitializeGlorot(Seed{1});
  Rng rng(7);
  std::vector<float> x(16 * c.batch * model.input().size());
  std::vector<int32_t> labels(16 * c.batch);
  for (float& v : x) v = rng.UniformFloat();
  for (int32_t& v : labels) v = static_cast<int32_t>(rng.Below(10));
  double best = 0;
  const double end = Now() + seconds;
  for (uint64_t step = 0; Now() < end;) {
    const double start = Now();
    constexpr int kSteps = 32;
    for (int i = 0; i < kSteps; ++i, ++step) {
      Batch batch;
      batch.x = x.data() + step % 16 * c.batch * model.input().size();
      batch.n = c.batch;
      batch.labels = labels.data() + step % 16 * c.batch;
      network->TrainStep(batch, {.step = step}, 0.0001f, optimizer.get());
    }
    best = std::max(best, static_cast<double>(kSteps * c.batch) / (Now() - start));
  }
  return best;
}

void Run(double seconds, const std::string& only) {
#ifndef NDEBUG
  std::printf("WARNING: a debug build; these figures mean nothing\n");
#endif
  double peak = PeakGflops();
  std::printf("engine %s, threads available %d, multiply-add peak %.0f GFLOP/s a thread\n", EngineName().c_str(),
              DefaultThreads(), peak);
  const Case cases[] = {{"keras-cnn", "adam", OptimizerKind::kAdam, 32},
                        {"keras-cnn", "sgd", OptimizerKind::kSgd, 10},
                        {"fedavg-cnn", "sgd", OptimizerKind::kSgd, 32},
                        {"fedavg-cnn", "sgd", OptimizerKind::kSgd, 10},
                        {"fedavg-cnn", "sgd", OptimizerKind::kSgd, 32, Precision::kBf16},
                        {"keras-cnn", "adam", OptimizerKind::kAdam, 32, Precision::kBf16}};
  for (const Case& c : cases) {
    if (!absl::StrCat(c.precision == Precision::kBf16 ? "bf16 " : "", c.preset, " ", c.optimizer_name, " ", c.batch).starts_with(only)) continue;
    if (c.precision == Precision::kBf16 && !HasBf16()) continue;
    std::printf("%s\n", EngineName(c.precision).c_str());
    const ModelDescription model = ModelDescription::FromProto(ModelDescription::Preset(c.preset).value()).value();
    for (const int threads : {1, 2}) {
      const double rate = ImagesPerSecond(model, c, threads, seconds);
      const double gflops = rate * TrainFlops(model) * 1e-9;
      std::printf("%-10s %-4s batch %2zu, %d thread%s %8.0f images/s %6.1f GFLOP/s, %4.1f %% of peak\n", c.preset,
                  c.optimizer_name, c.batch, threads, threads == 1 ? ": " : "s:", rate, gflops,
                  100 * gflops / (peak * threads));
    }
  }
  peak = std::max(peak, PeakGflops());
  std::printf("multiply-add peak at the end %.0f GFLOP/s a thread\n", peak);
}

}  // namespace
}  // namespace tributary::nn

int main(int argc, char** argv) {
  tributary::nn::BoundThreadSpinning(argv);
  tributary::nn::Run(argc > 1 ? std::max(0.1, std::atof(argv[1])) : 1.0, argc > 2 ? argv[2] : "");
  return 0;
}
