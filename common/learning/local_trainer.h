// The client's half of federated averaging: base model + own examples -> delta. No transport, no files.
//
// The examples are split first (Keras: the first floor(n * (1 - validation_split)) train, the rest validate), then
// every epoch visits the training part in a fresh order. Optimiser state starts fresh. The result depends on the model,
// base, data, plan, rate, run seed, round and client name only: same bits for any number of threads. Threads:
// TrainLocally may run many times at once; it calls `stop` and `progress` from the calling thread.
#ifndef TRIBUTARY_COMMON_LEARNING_LOCAL_TRAINER_H_
#define TRIBUTARY_COMMON_LEARNING_LOCAL_TRAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/nn/model_description.h"
#include "common/nn/network.h"

namespace tributary::v1 {
class TrainPlan;
}

namespace tributary::learning {

// The momentum that the engine's optimiser has; plan_check and the trainer refuse another (0 means this one).
inline constexpr double kEngineMomentum = 0.9;

// One optimiser step, as it is told to those who keep a record (simulation_trace.h). Valid during the call.
struct StepRecord {
  uint64_t step = 0;                  // from 1
  std::span<const uint32_t> indices;  // of the batch's examples, in order
  double loss = 0;                    // mean over the batch, of the parameters before the step
};

// What TrainLocally borrows for the call, and who trains.
struct LocalTask {
  const nn::ModelDescription& model;
  std::span<const float> base;             // model.parameter_count() values
  const data::Dataset& data;               // in canonical order (design: "Validation split")
  std::span<const uint32_t> indices = {};  // of the examples to use, in order; empty = all
  const v1::TrainPlan& plan;
  double learning_rate = 0;  // of this round, decay applied; plan.learning_rate is not read
  uint64_t run_seed = 0;
  uint64_t round = 0;
  std::string client_name = {};
  int threads = 1;
  // Polled before every micro-batch (a few milliseconds apart); true ends the training. May be empty.
  std::function<bool()> stop = {};
  // After each optimiser step. Should be quick. May be empty.
  std::function<void(uint64_t steps_done, uint64_t steps_total)> progress = {};
  const Clock* clock = &Clock::System();  // measures train_ms; never influences the result
  // After each optimiser step, before `progress`. May be empty.
  std::function<void(const StepRecord&)> record = {};
};

struct LocalResult {
  std::vector<float> delta;                   // local - base, as float32 differences
  uint64_t examples = 0;                      // training examples, without the validation part: the update's weight
  double train_loss = 0;                      // example-weighted mean of the batch losses before each step
  std::optional<double> validation_loss;      // of the local model after training; absent without a validation part
  std::optional<double> validation_accuracy;  // likewise; absent for regression
  uint64_t validation_examples = 0;
  uint64_t steps = 0;                 // optimiser steps
  int64_t train_ms = 0;               // validation included
  double update_norm = 0;             // Euclidean
  std::string engine;                 // that trained it: common/nn/engine.h
  std::vector<std::string> warnings;  // for people, e.g. classes that only the training part has
};

// Errors:
//   INVALID_ARGUMENT     base has another size, learning rate or plan out of range, an index beyond the data
//   FAILED_PRECONDITION  data and model do not fit (compatibility.h), the split leaves nothing to train on, or the plan
//                        wants a precision that this machine cannot compute in
//   RESOURCE_EXHAUSTED   the machine has not enough memory
//   OUT_OF_RANGE         the loss stopped being finite (the message says at which step), or a parameter moved too far
//   CANCELLED            `stop` said so
absl::StatusOr<LocalResult> TrainLocally(const LocalTask& task);

// Bytes that TrainLocally holds at most beside the data: the base model, the network with a batch's activations, the
// optimiser's state or, at the end, the delta. What ResolvePrecision and Network::NeededBytes refuse, but for memory.
absl::StatusOr<double> TrainingBytes(const nn::ModelDescription& model, const v1::TrainPlan& plan, int threads);

// TrainLocally for one task of a model after another. Keeps the network (weights, gradients, activations) in between,
// so that thousands of virtual clients cost the memory of one; the results are the same to the bit, whatever came
// before, errors included. Threads: one caller at a time.
class LocalTrainer {
 public:
  // Borrowed; must outlive the trainer. It is the model of every task.
  explicit LocalTrainer(const nn::ModelDescription& model);
  ~LocalTrainer();
  LocalTrainer(const LocalTrainer&) = delete;
  LocalTrainer& operator=(const LocalTrainer&) = delete;

  absl::StatusOr<LocalResult> Train(const LocalTask& task);

  // The local model that the last Train ended with; empty before the first.
  std::span<const float> parameters() const;

 private:
  absl::Status MakeNetwork(const LocalTask& task);

  const nn::ModelDescription& model_;
  std::unique_ptr<nn::Network> network_;  // null before the first task
  nn::Network::Options options_;          // what the network was made with
};

// How many of `examples` train under `validation_split`: floor(examples * (1 - split)), as Keras computes it.
uint64_t TrainingExamples(uint64_t examples, double validation_split);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_LOCAL_TRAINER_H_
