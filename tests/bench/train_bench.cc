// How fast a network trains and evaluates, in images a second, beside the FMA peak that this machine showed in the same
// run: one thread's rate as a share of one thread's peak, two threads' gain as a share of the gain that the peak itself
// shows. A plain program, not a test: machines are shared and figures vary.
// All cases are run again and again in turn, so that a busy stretch of a shared machine hits none of them in every
// pass. Usage: train_bench [--passes N] [--seconds S] [--only PREFIX] [--json FILE]
//   --passes   over all cases, the peak measured before, between and after (the largest counts), default 5
//   --seconds  a case, thread count and pass, default 1
//   --only     the cases whose name begins with it, e.g. "fedavg-cnn sgd", "bf16"
//   --json     writes what was printed, and the medians, to a file
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/nn/engine.h"
#include "common/nn/kernels/bf16.h"
#include "common/nn/network.h"
#include "common/nn/optimizer.h"
#include "nlohmann/json.hpp"
#include "tests/bench/machine.h"
#include "tests/bench/model_flops.h"
#include "tests/bench/peak.h"
#include "tributary/v1/model.pb.h"

namespace tributary::bench {
namespace {

using nn::Batch, nn::ModelDescription, nn::Network, nn::Optimizer, nn::OptimizerKind, nn::Precision;

struct Case {
  const char* preset;
  const char* work;  // the optimiser, or "evaluate"
  size_t batch;
  Precision precision = Precision::kFloat32;

  std::string name() const {
    return absl::StrCat(precision == Precision::kBf16 ? "bf16 " : "", preset, " ", work, " ", batch);
  }
  bool evaluates() const { return std::string(work) == "evaluate"; }
};

constexpr Case kCases[] = {{"keras-cnn", "adam", 32},
                           {"keras-cnn", "sgd", 10},
                           {"fedavg-cnn", "sgd", 32},
                           {"fedavg-cnn", "sgd", 10},
                           {"fedavg-cnn", "adam", 32},
                           {"fedavg-cnn", "evaluate", 256},
                           {"keras-cnn", "adam", 32, Precision::kBf16},
                           {"fedavg-cnn", "sgd", 32, Precision::kBf16},
                           {"fedavg-cnn", "evaluate", 256, Precision::kBf16}};

struct Options {
  int passes = 5;
  double seconds = 1;
  std::string only, json;
};

// Sixteen batches of noise with labels.
class Examples {
 public:
  Examples(const ModelDescription& model, size_t batch)
      : width_(model.input().size()), batch_(batch), x_(kBatches * batch * width_), labels_(kBatches * batch) {
    Rng rng(7);
    for (float& v : x_) v = rng.UniformFloat();
    for (int32_t& v : labels_) v = static_cast<int32_t>(rng.Below(10));
  }
  Batch batch(uint64_t step) const {
    const size_t first = step % kBatches * batch_;
    return {.x = x_.data() + first * width_, .n = batch_, .labels = labels_.data() + first, .targets = nullptr};
  }

 private:
  static constexpr size_t kBatches = 16;
  const size_t width_, batch_;
  std::vector<float> x_;
  std::vector<int32_t> labels_;
};

// Adds the images a second of stretches of at least a twentieth of a second, for `seconds`.
template <class Step>
void AddRates(size_t batch, double seconds, const Step& step, std::vector<double>* rates) {
  uint64_t steps = 0;
  step(steps++);
  const double end = Now() + seconds;
  do {
    const double start = Now();
    const uint64_t first = steps;
    while (Now() - start < 0.05) step(steps++);
    rates->push_back(static_cast<double>((steps - first) * batch) / (Now() - start));
  } while (Now() < end);
}

void Measure(const ModelDescription& model, const Case& c, int threads, double seconds, std::vector<double>* rates) {
  const Examples examples(model, c.batch);
  Network::Options options{.max_batch = c.batch, .threads = threads, .gradients = false, .precision = c.precision};
  options.training = !c.evaluates();
  const auto network = Network::Create(model, options).value();
  network->InitializeGlorot(Seed{1});
  if (c.evaluates()) {
    const auto evaluate = [&](uint64_t step) { network->EvaluateBatch(examples.batch(step), nullptr); };
    return AddRates(c.batch, seconds, evaluate, rates);
  }
  const bool adam = std::string(c.work) == "adam";
  const auto kind = adam ? OptimizerKind::kAdam : OptimizerKind::kSgd;
  const auto optimizer = Optimizer::Create(model, {.kind = kind, .threads = threads}).value();
  const auto train = [&](uint64_t step) {
    network->TrainStep(examples.batch(step), {.step = step}, 0.0001f, optimizer.get());
  };
  AddRates(c.batch, seconds, train, rates);
}

struct Peaks {
  double fma[2] = {0, 0}, bf16 = 0;  // one thread, two; one thread

  void Measure() {
    for (const int threads : {1, 2}) fma[threads - 1] = std::max(fma[threads - 1], FmaPeak(threads));
    if (nn::HasBf16()) bf16 = std::max(bf16, Bf16Peak(nn::FindBf16Kernels()->isa));
  }
  double gain() const { return fma[1] / fma[0]; }
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

nlohmann::json Report(const Case& c, const ModelDescription& model, const std::vector<double> rates[2],
                      const Peaks& peaks) {
  const double best[2] = {*std::max_element(rates[0].begin(), rates[0].end()),
                          *std::max_element(rates[1].begin(), rates[1].end())};
  const double gflops = best[0] * 1e-9 * (c.evaluates() ? ForwardFlops(model) : TrainFlops(model));
  const double share = gflops / peaks.fma[0], scaling = best[1] / best[0] / peaks.gain();
  std::printf(
      "%-28s %8.0f images/s %6.1f GFLOP/s %5.1f %% of the float32 peak; 2 threads %8.0f, %5.1f %% of the peak's gain\n",
      c.name().c_str(), best[0], gflops, 100 * share, best[1], 100 * scaling);
  return {{"case", c.name()},
          {"images_per_second", {best[0], best[1]}},
          {"median_images_per_second", {Median(rates[0]), Median(rates[1])}},
          {"gflops", gflops},
          {"share_of_peak", share},
          {"share_of_peaks_gain_with_two_threads", scaling}};
}

struct Result {
  Case c;
  ModelDescription model;
  std::vector<double> rates[2];  // with one thread, with two
};

std::vector<Result> ChosenCases(const std::string& prefix) {
  std::vector<Result> chosen;
  for (const Case& c : kCases) {
    if (!c.name().starts_with(prefix) || (c.precision == Precision::kBf16 && !nn::HasBf16())) continue;
    chosen.push_back({c, ModelDescription::FromProto(ModelDescription::Preset(c.preset).value()).value(), {}});
  }
  return chosen;
}

void Run(const Options& options) {
  PrintMachine();
  Peaks peaks;
  peaks.Measure();
  std::vector<Result> results = ChosenCases(options.only);
  for (int pass = 0; pass < options.passes; ++pass) {
    for (Result& r : results) {
      for (const int threads : {1, 2}) Measure(r.model, r.c, threads, options.seconds, &r.rates[threads - 1]);
    }
    peaks.Measure();
  }
  std::printf("float32 peak %.0f GFLOP/s with one thread, %.0f with two (x %.2f); bf16 %.0f with one\n", peaks.fma[0],
              peaks.fma[1], peaks.gain(), peaks.bf16);
  nlohmann::json all = {{"machine", DescribeMachine()},
                        {"fma_peak_gflops", peaks.fma},
                        {"bf16_peak_gflops", peaks.bf16},
                        {"cases", nlohmann::json::array()}};
  for (const Result& r : results) all["cases"].push_back(Report(r.c, r.model, r.rates, peaks));
  if (!options.json.empty()) std::ofstream(options.json) << all.dump(2) << "\n";
}

bool Parse(int argc, char** argv, Options* options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--passes") {
      options->passes = std::max(1, std::atoi(argv[i + 1]));
    } else if (name == "--seconds") {
      options->seconds = std::max(0.1, std::atof(argv[i + 1]));
    } else if (name == "--only") {
      options->only = argv[i + 1];
    } else if (name == "--json") {
      options->json = argv[i + 1];
    } else {
      return false;
    }
  }
  return argc % 2 == 1;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  tributary::nn::BoundThreadSpinning(argv);
  tributary::bench::Options options;
  if (!tributary::bench::Parse(argc, argv, &options)) {
    std::fprintf(stderr, "usage: train_bench [--passes N] [--seconds S] [--only PREFIX] [--json FILE]\n");
    return 2;
  }
  tributary::bench::Run(options);
  return 0;
}
