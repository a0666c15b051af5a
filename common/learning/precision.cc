#include "common/learning/precision.h"

#include "absl/strings/str_cat.h"
#include "common/nn/engine.h"

namespace tributary::learning {

bool IsKnownPrecision(std::string_view precision) {
  return precision == "float32" || precision == "bf16" || precision == "auto";
}

absl::StatusOr<nn::Precision> ResolvePrecision(std::string_view precision) {
  if (precision.empty() || precision == "float32") return nn::Precision::kFloat32;
  if (!IsKnownPrecision(precision)) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown precision \"", std::string(precision), "\"; known: float32, bf16, auto"));
  }
  if (nn::HasBf16()) return nn::Precision::kBf16;
  if (precision == "bf16") return nn::NoBf16();
  return nn::Precision::kFloat32;
}

}  // namespace tributary::learning
