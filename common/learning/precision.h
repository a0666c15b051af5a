// What `train.precision` of a plan means on this machine. Threads: pure functions.
#ifndef TRIBUTARY_COMMON_LEARNING_PRECISION_H_
#define TRIBUTARY_COMMON_LEARNING_PRECISION_H_

#include <string_view>

#include "common/base/status.h"
#include "common/nn/network.h"

namespace tributary::learning {

// "float32", "bf16" and "auto": bf16 where the machine has it, else float32.
bool IsKnownPrecision(std::string_view precision);

// The known one to train with; empty means float32. INVALID_ARGUMENT: unknown. FAILED_PRECONDITION: bf16 on a machine
// that cannot.
absl::StatusOr<nn::Precision> ResolvePrecision(std::string_view precision);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_PRECISION_H_
