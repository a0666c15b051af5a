// A machine without bf16: the targets read plans and train nothing, so the kernels stay out of their build.
#include "common/nn/engine.h"

namespace tributary::nn {

bool HasBf16() { return false; }
absl::Status NoBf16() { return absl::FailedPreconditionError("this machine has no bf16"); }

}  // namespace tributary::nn
