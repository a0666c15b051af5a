// Our side of tests/bench/compare_torch, which starts it and writes to its standard input, a line a request; each is
// answered by one line of JSON. torch_side.py answers the same requests.
//   case MODEL sgd|adam|evaluate BATCH float32|bf16   a new network from the weights file; the order from its start
//   check          20 steps, then {"loss": mean loss of the first 512 images}; evaluate: no step
//   run SECONDS    steps for that long, then {"images_per_second": x}
//   peak           {"gflops": FMA peak on the threads}
// A step reads the next batch of the given order from bytes to floats, as training in a federation does; batches above
// kMicroBatch are accumulated from parts of that size, as there.
// Usage: compare_ours MNIST_DIR ORDER WEIGHTS THREADS. ORDER holds uint32 indices, WEIGHTS.MODEL the flat parameters.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "common/data/load.h"
#include "common/learning/batch_reader.h"
#include "common/nn/engine.h"
#include "common/nn/network.h"
#include "common/nn/optimizer.h"
#include "nlohmann/json.hpp"
#include "tests/bench/machine.h"
#include "tests/bench/peak.h"
#include "tributary/v1/model.pb.h"

namespace tributary::bench {
namespace {

using nlohmann::json;

constexpr float kSgdRate = 0.01f, kAdamRate = 0.001f;

struct Input {
  data::Dataset data;
  std::vector<uint32_t> order;
  std::string weights;
  int threads;
};

template <class T>
std::vector<T> ReadAll(const std::string& path, size_t count) {
  std::vector<T> values(count);
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(T)));
  if (in.gcount() != static_cast<std::streamsize>(count * sizeof(T)) || in.peek() != EOF) {
    std::fprintf(stderr, "%s does not hold %zu values\n", path.c_str(), count);
    std::exit(1);
  }
  return values;
}

class Run {
 public:
  Run(const Input& input, const std::string& preset, const std::string& work, size_t batch, nn::Precision precision)
      : input_(input),
        work_(work),
        batch_(batch),
        model_(nn::ModelDescription::FromProto(nn::ModelDescription::Preset(preset).value()).value()),
        reader_(input.data, model_) {
    const bool training = work != "evaluate", fused = batch <= learning::kMicroBatch;
    network_ = nn::Network::Create(model_, {.max_batch = training ? std::min(batch, learning::kMicroBatch) : batch,
                                            .threads = input.threads,
                                            .training = training,
                                            .gradients = training && !fused,
                                            .precision = precision})
                   .value();
    const auto kind = work == "adam" ? nn::OptimizerKind::kAdam : nn::OptimizerKind::kSgd;
    optimizer_ = nn::Optimizer::Create(model_, {.kind = kind, .threads = input.threads}).value();
    const auto start = ReadAll<float>(input.weights + "." + preset, model_.parameter_count());
    std::copy(start.begin(), start.end(), network_->parameters().begin());
  }

  json Check() {
    for (int i = 0; work_ != "evaluate" && i < 20; ++i) Step();
    std::vector<uint32_t> first(512);
    std::iota(first.begin(), first.end(), 0u);
    return {{"loss", network_->EvaluateBatch(reader_.Read(first), nullptr).loss_sum / 512}};
  }

  json Time(double seconds) {
    const double start = Now();
    const uint64_t first = steps_;
    while (Now() - start < seconds) Step();
    return {{"images_per_second", static_cast<double>((steps_ - first) * batch_) / (Now() - start)}};
  }

 private:
  void Step() {
    if ((steps_in_epoch_ + 1) * batch_ > input_.order.size()) steps_in_epoch_ = 0;
    const std::span<const uint32_t> batch(input_.order.data() + steps_in_epoch_ * batch_, batch_);
    const float rate = work_ == "adam" ? kAdamRate : kSgdRate;
    if (work_ == "evaluate") {
      network_->EvaluateBatch(reader_.Read(batch), nullptr);
    } else if (batch_ <= learning::kMicroBatch) {
      network_->TrainStep(reader_.Read(batch), {.step = steps_}, rate, optimizer_.get());
    } else {
      network_->ZeroGradients();
      for (size_t i = 0; i < batch_; i += learning::kMicroBatch) {
        const auto part = batch.subspan(i, std::min(learning::kMicroBatch, batch_ - i));
        network_->TrainBatch(reader_.Read(part), {.batch_examples = batch_, .first_example = i, .step = steps_});
      }
      optimizer_->Step(network_->parameters(), network_->gradients(), rate);
    }
    ++steps_, ++steps_in_epoch_;
  }

  const Input& input_;
  const std::string work_;
  const size_t batch_;
  const nn::ModelDescription model_;
  learning::BatchReader reader_;
  std::unique_ptr<nn::Network> network_;
  std::unique_ptr<nn::Optimizer> optimizer_;
  uint64_t steps_ = 0;
  size_t steps_in_epoch_ = 0;
};

json Answer(const Input& input, const std::string& line, std::unique_ptr<Run>* run) {
  std::istringstream words(line);
  std::string request, model, work, precision;
  words >> request;
  if (request == "peak") return {{"gflops", FmaPeak(input.threads)}};
  if (request == "case") {
    size_t batch = 0;
    words >> model >> work >> batch >> precision;
    const bool bf16 = precision == "bf16";
    if (bf16 && !nn::HasBf16()) return {{"missing", "this CPU has no bf16"}};
    *run = std::make_unique<Run>(input, model, work, batch, bf16 ? nn::Precision::kBf16 : nn::Precision::kFloat32);
    return {{"variant", nn::EngineName(bf16 ? nn::Precision::kBf16 : nn::Precision::kFloat32)}};
  }
  if (*run != nullptr && request == "check") return (*run)->Check();
  double seconds = 0;
  if (*run != nullptr && request == "run" && words >> seconds) return (*run)->Time(seconds);
  return {{"error", "unknown request: " + line}};
}

int Main(char** argv) {
  auto loaded = data::LoadData(argv[1], {.format = data::Format::kIdx});
  if (!loaded.ok()) {
    std::fprintf(stderr, "%s\n", loaded.status().ToString().c_str());
    return 1;
  }
  Input input{std::move(loaded->dataset), {}, argv[3], std::atoi(argv[4])};
  input.order = ReadAll<uint32_t>(argv[2], input.data.count);
  PrintMachine();
  std::unique_ptr<Run> run;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::printf("%s\n", Answer(input, line, &run).dump().c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  tributary::nn::BoundThreadSpinning(argv);
  if (argc != 5) {
    std::fprintf(stderr, "usage: compare_ours MNIST_DIR ORDER WEIGHTS THREADS\n");
    return 2;
  }
  return tributary::bench::Main(argv);
}
