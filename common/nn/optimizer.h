// One optimiser step over the flat parameter vector. State (momentum, Adam's moments and t) starts fresh at
// construction and lives as long as the optimiser: make a new one each round. Threads: one caller at a time; Step may
// use `threads` threads inside; the bits do not depend on their number.
#ifndef TRIBUTARY_COMMON_NN_OPTIMIZER_H_
#define TRIBUTARY_COMMON_NN_OPTIMIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "common/nn/model_description.h"

namespace tributary::nn {

struct Kernels;

enum class OptimizerKind {
  kSgd,       // w -= lr g
  kMomentum,  // v = 0.9 v - lr g;  w += v
  kAdam,      // as Keras: w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + 1e-7), b1 = 0.9, b2 = 0.999
};

class Optimizer {
 public:
  struct Options {
    OptimizerKind kind = OptimizerKind::kSgd;
    float weight_decay = 0;  // decoupled: w -= lr * weight_decay * w before the step; not on biases. >= 0
    float clip_norm = 0;     // 0: off. Gradients longer than this (all layers together) are scaled to it; a NaN or Inf
                             // in them is never hidden: it reaches the parameters
    int threads = 1;
    const char* isa = nullptr;  // as Network::Options::isa
  };

  // INVALID_ARGUMENT for negative or non-finite numbers, threads < 1 or an unknown isa.
  static absl::StatusOr<std::unique_ptr<Optimizer>> Create(const ModelDescription& model, const Options& options);

  // Both spans hold model.parameter_count() floats. `gradients` is scaled in place when clipped.
  void Step(std::span<float> parameters, std::span<float> gradients, float learning_rate);
  // A step whose gradients come piece by piece (Network::TrainStep): BeginStep, then Update once for each parameter, in
  // pieces of any size and order, each all kernel (`decay`) or all bias. Gives the bits of Step. Not when clips().
  // Update may run on several threads at once, for different pieces.
  void BeginStep(float learning_rate);
  // `g` and `w` hold n floats: those from index `begin` on in the model's flat array.
  void Update(size_t begin, size_t n, bool decay, const float* g, float* w);
  bool clips() const { return options_.clip_norm > 0; }  // needs all gradients before the first update

  // Steps taken.
  uint64_t steps() const { return t_; }

 private:
  struct Piece {  // parameters [begin, end), all kernel or all bias; at most kPiece long, so that the cut is fixed
    size_t begin, end;
    bool decay;
  };
  Optimizer(const ModelDescription& model, const Options& options, const Kernels& kernels);
  void ClipGradients(std::span<float> gradients);

  const Options options_;
  const Kernels& kernels_;
  std::vector<Piece> pieces_;
  std::vector<float> m_, v_;  // momentum and Adam; Adam only
  std::vector<double> sums_;  // one sum of squares a piece
  uint64_t t_ = 0;
  float learning_rate_ = 0, adam_step_ = 0;  // of the step under way
};

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_OPTIMIZER_H_
