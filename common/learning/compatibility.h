// Whether a model can learn from a data set: what a client declines by and what makes a client eligible.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_LEARNING_COMPATIBILITY_H_
#define TRIBUTARY_COMMON_LEARNING_COMPATIBILITY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/nn/model_description.h"

namespace tributary::learning {

// What is known of a data set without looking into it: what a client says of its own in Hello (DatasetFacts).
struct DataFacts {
  uint64_t examples = 0;
  std::vector<uint64_t> shape;       // [h, w, c] or [features]; empty: images, decoded to what a model takes
  std::vector<std::string> classes;  // empty when labels are integers
  uint64_t num_classes = 0;          // 1 + the largest label; 0 for regression or unknown
};

DataFacts FactsOf(const data::Dataset& data);

// FAILED_PRECONDITION lists, one a line, every reason why not: no examples, another shape, a class that the model does
// not name, more classes than it has, regression against classification.
absl::Status CheckFacts(const DataFacts& facts, const nn::ModelDescription& model);

// CheckFacts, and every label in range, and class names in the model's order (mapping them is the data layer's work).
absl::Status CheckCompatible(const data::Dataset& data, const nn::ModelDescription& model);

// For the operator and the owner, not reasons to refuse: one class only.
std::vector<std::string> CompatibilityWarnings(const data::Dataset& data);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_COMPATIBILITY_H_
