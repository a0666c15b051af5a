// The weights that a run starts from when it has no warm start: Glorot-uniform kernels and zero biases, drawn from the
// run's seed (seeds.h, purpose "init"). Same seed, same bits, on any machine.
#ifndef TRIBUTARY_COMMON_LEARNING_INITIAL_MODEL_H_
#define TRIBUTARY_COMMON_LEARNING_INITIAL_MODEL_H_

#include <cstdint>
#include <vector>

#include "common/base/status.h"
#include "common/nn/model_description.h"

namespace tributary::learning {

// RESOURCE_EXHAUSTED when memory does not suffice.
absl::StatusOr<std::vector<float>> InitialParameters(const nn::ModelDescription& model, uint64_t run_seed);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_INITIAL_MODEL_H_
