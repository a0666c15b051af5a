// One timed call of a kernel, or of a layer as the network calls it, with its check. Built by layer_cases.cc,
// image_cases.cc and parameter_cases.cc on the layers of the presets, run by kernels_bench.cc.
#ifndef TRIBUTARY_TESTS_BENCH_KERNEL_CASE_H_
#define TRIBUTARY_TESTS_BENCH_KERNEL_CASE_H_

#include <cfloat>
#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "common/nn/model_description.h"
#include "tributary/v1/model.pb.h"

namespace tributary::bench {

struct KernelCase {
  std::string name;
  double flops = 0;  // a call's multiply-adds, as two operations each; 0: the case is held against the stream
  double bytes = 0;  // that a call reads and writes, each array counted once
  bool bf16 = false;
  std::function<void()> run;
  std::function<std::string()> check;  // calls it and compares with the reference; what is wrong, or nothing
};

// fedavg-cnn and keras-cnn: the layers that all of it is measured on.
inline nn::ModelDescription Preset(const char* name) {
  return nn::ModelDescription::FromProto(nn::ModelDescription::Preset(name).value()).value();
}

// Numbers in [-1, 1) that bfloat16 holds exactly, so that one reference serves both precisions.
inline std::vector<float> Noise(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(static_cast<int>(rng.Below(256)) - 128) / 128.0f;
  return values;
}
inline std::vector<double> ToDouble(std::span<const float> values) { return {values.begin(), values.end()}; }

// Whether got is want within k eps times what was summed (sum of |a b|), element by element.
inline std::string Compare(const char* what, std::span<const float> got, std::span<const double> want,
                           std::span<const double> size, double terms) {
  for (size_t i = 0; i < want.size(); ++i) {
    const double allowed = (4 + 2 * std::sqrt(terms)) * FLT_EPSILON * std::fabs(size[i]) + FLT_MIN;
    if (std::fabs(static_cast<double>(got[i]) - want[i]) <= allowed) continue;
    return absl::StrCat(what, "[", i, "] is ", got[i], ", not ", want[i], " +- ", allowed);
  }
  return "";
}

inline std::vector<double> Ones(size_t n) { return std::vector<double>(n, 1.0); }

// What a case works on; its closures share it.
struct Arrays {
  explicit Arrays(size_t n) : a(Noise(n, 1)), b(Noise(n, 2)), c(n), d(n), index(n) {}
  std::vector<float> a, b, c, d;
  std::vector<uint16_t> index;
};
inline std::shared_ptr<Arrays> MakeArrays(size_t n) { return std::make_shared<Arrays>(n); }

// Appends cases that move more than they multiply.
class MovingCases {
 public:
  void Add(const std::string& name, double floats_moved, std::function<void()> run,
           std::function<std::string()> check) {
    cases.push_back({name, 0, floats_moved * sizeof(float), false, std::move(run), std::move(check)});
  }
  std::vector<KernelCase> cases;
};

std::vector<KernelCase> LayerCases();      // convolutions and dense layers
std::vector<KernelCase> ImageCases();      // pools, activations, softmax and losses
std::vector<KernelCase> ParameterCases();  // sums, optimisers, transposes and bf16 layouts

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_KERNEL_CASE_H_
