#include "client/session/refusal.h"

#include "absl/strings/cord.h"

namespace tributary::session {
namespace {

constexpr char kCodePayload[] = "tributary/refusal-code";

}  // namespace

absl::Status ToStatus(const Refusal& refusal) {
  absl::Status status = absl::FailedPreconditionError(refusal.reason);
  status.SetPayload(kCodePayload, absl::Cord(refusal.code));
  return status;
}

Refusal RefusalOf(const absl::Status& status, std::string_view code) {
  const auto known = status.GetPayload(kCodePayload);
  return {known.has_value() ? std::string(*known) : std::string(code), std::string(status.message())};
}

}  // namespace tributary::session
