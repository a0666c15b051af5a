// How good a model is on a data set, and what it says of each example.
// Sums run in example order in double: the same bits for any number of threads.
// Threads: pure functions; `stop` is called from the calling thread.
#ifndef TRIBUTARY_COMMON_LEARNING_EVALUATION_H_
#define TRIBUTARY_COMMON_LEARNING_EVALUATION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/nn/model_description.h"

namespace tributary::learning {

// One class's scores; 0/0 = 0.
struct ClassScores {
  std::string name;  // class name, or the label as text
  double precision = 0, recall = 0, f1 = 0;
  uint64_t examples = 0;  // truly of this class
};

struct Evaluation {
  uint64_t examples = 0;
  double loss = 0;
  // Absent for regression:
  std::optional<double> accuracy;
  std::optional<double> precision, recall, f1;   // macro: mean over all classes of the model
  std::vector<ClassScores> per_class;            // one a class
  std::vector<std::vector<uint64_t>> confusion;  // [true][predicted]
  // Regression only:
  std::optional<double> mean_absolute_error;
};

struct EvaluationOptions {
  std::span<const uint32_t> indices = {};  // empty = all examples
  int threads = 1;
  std::function<bool()> stop = {};  // polled every batch
};

// A loss that is not finite is reported as it is. FAILED_PRECONDITION: data and model do not fit, or no examples.
// INVALID_ARGUMENT: parameters of another size. CANCELLED: `stop`.
absl::StatusOr<Evaluation> Evaluate(const nn::ModelDescription& model, std::span<const float> parameters,
                                    const data::Dataset& data, const EvaluationOptions& options = {});

struct Prediction {
  size_t index = 0;                  // of the class; 0 for regression
  std::string name;                  // class name, or the index as text; empty for regression
  std::vector<float> probabilities;  // one a class (a lone sigmoid gives two: 1 - p and p); regression: the outputs
};

// One a example, in order. Labels are not looked at. Errors as Evaluate's.
absl::StatusOr<std::vector<Prediction>> Predict(const nn::ModelDescription& model, std::span<const float> parameters,
                                                const data::Dataset& data, const EvaluationOptions& options = {});

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_EVALUATION_H_
