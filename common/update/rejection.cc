#include "common/update/rejection.h"

#include "absl/strings/cord.h"

namespace tributary::update {
namespace {

constexpr std::string_view kPayload = "tributary.v1/rejection";

}  // namespace

absl::Status Reject(std::string_view code, std::string_view reason) {
  absl::Status status(absl::StatusCode::kInvalidArgument, absl::string_view(reason.data(), reason.size()));
  status.SetPayload(absl::string_view(kPayload.data(), kPayload.size()),
                    absl::Cord(absl::string_view(code.data(), code.size())));
  return status;
}

std::string RejectionCode(const absl::Status& status) {
  const auto payload = status.GetPayload(absl::string_view(kPayload.data(), kPayload.size()));
  return payload.has_value() ? std::string(*payload) : std::string();
}

}  // namespace tributary::update
