// A model that computes: forward, gradients, prediction, in float32 on one machine's cores.
//
// Same parameters, batches, seed and engine (common/nn/engine.h) give the same bits for any number of threads: work is
// cut by shape alone and partial sums are joined in a fixed order. No memory is allocated after the first batch.
//
// Threads: not for use by several threads at once; distinct networks are independent. Calls use up to
// `Options::threads` threads inside and return when all are done. With threads = 1 no other thread is touched.
#ifndef TRIBUTARY_COMMON_NN_NETWORK_H_
#define TRIBUTARY_COMMON_NN_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "common/base/random.h"
#include "common/base/status.h"
#include "common/nn/model_description.h"

namespace tributary::nn {

class Optimizer;

// Examples with what they should give. `x` holds n * input().size() floats, channels-last, already scaled.
struct Batch {
  const float* x = nullptr;
  size_t n = 0;
  const int32_t* labels = nullptr;  // n, for the cross-entropies: a class index, or 0 and 1 for binary
  const float* targets = nullptr;   // n * output().size(), for mean squared error
};

// Where a batch stands in training.
struct StepInfo {
  size_t batch_examples = 0;  // size of the whole batch that this one is a part of; gradients are of its mean. 0: n
  size_t first_example = 0;   // index of this part's first example in that batch (for dropout masks)
  uint64_t step = 0;          // optimiser step since the seed was set, below 2^32 (for dropout masks)
};

struct BatchResult {
  double loss_sum = 0;  // sum over examples of the loss; NaN when any is, or when a label is out of range
  size_t correct = 0;   // examples whose class is right (first largest probability; sigmoid p > 0.5). 0 for regression
};

// What the products of convolutions and dense layers are computed in. Sums, parameters, gradients, optimiser state and
// everything else are float32 always.
enum class Precision { kFloat32, kBf16 };

class Network {
 public:
  struct Options {
    size_t max_batch = 32;  // examples computed at once; sets the memory. Larger batches are worked in parts, in order
    int threads = 1;        // at least 1; common/nn/engine.h: DefaultThreads()
    bool training = true;   // false: neither TrainStep nor TrainBatch may be called; saves their memory
    bool gradients = true;  // false: TrainBatch and gradients() may not be called; saves one float a parameter
    Precision precision = Precision::kFloat32;
    const char* isa = nullptr;  // for tests: an instruction set of SupportedIsas(precision); null: the engine's choice
    bool operator==(const Options&) const = default;
  };

  // INVALID_ARGUMENT for max_batch = 0, threads < 1 or an unknown isa; FAILED_PRECONDITION for a precision that this
  // machine has no instructions for; RESOURCE_EXHAUSTED when memory does not suffice.
  // Parameters start as zeros.
  static absl::StatusOr<std::unique_ptr<Network>> Create(const ModelDescription& model, const Options& options);
  // Bytes that Create would ask for, without asking. The same errors, but for memory.
  static absl::StatusOr<double> NeededBytes(const ModelDescription& model, const Options& options);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const ModelDescription& model() const;

  // All parameters, flat, in the order of ModelDescription::parameter_arrays(): what the wire and the digests hold.
  std::span<float> parameters();
  std::span<const float> parameters() const;
  // Glorot-uniform kernels (limit sqrt(6 / (fan_in + fan_out))), zero biases.
  void InitializeGlorot(const Seed& seed);

  // The masks of dropout layers: a function of (seed, step, example in the batch, element). Needed before TrainBatch
  // when the model has dropout (all-zero seed otherwise).
  void SetDropoutSeed(const Seed& seed);
  // Forward and backward; adds d(sum of losses / info.batch_examples)/d(parameters) to gradients(). The loss is that of
  // the parameters as they are.
  BatchResult TrainBatch(const Batch& batch, const StepInfo& info);
  // In the order of parameters().
  std::span<float> gradients();
  // Costs nothing: the next TrainBatch overwrites.
  void ZeroGradients();
  // ZeroGradients, TrainBatch and one step of `optimizer` in one pass: each dense layer's gradient is used up while it
  // is in cache and never stored whole. The same bits as one after the other. The batch must fit max_batch; the
  // optimiser is of this model and does not clip. A loss that is not finite leaves the parameters as they were.
  BatchResult TrainStep(const Batch& batch, const StepInfo& info, float learning_rate, Optimizer* optimizer);

  // Without dropout. `probabilities` (the last layer's values, n * output().size()) may be null.
  BatchResult EvaluateBatch(const Batch& batch, float* probabilities);
  // `out` takes n * output().size() floats.
  void Predict(const float* x, size_t n, float* out);

 private:
  struct Impl;
  explicit Network(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_NETWORK_H_
