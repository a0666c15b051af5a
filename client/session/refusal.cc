#include "client/session/refusal.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "common/base/text.h"

namespace tributary::session {
namespace {

constexpr char kCodePayload[] = "tributary/refusal-code";

constexpr size_t kMaxCodeBytes = 64;
constexpr size_t kMaxReasonBytes = 500;

}  // namespace

Refusal Shortened(Refusal refusal) {
  std::replace(refusal.reason.begin(), refusal.reason.end(), '\n', ';');
  refusal.code = PlainText(refusal.code, kMaxCodeBytes);
  refusal.reason = PlainText(refusal.reason, kMaxReasonBytes);
  return refusal;
}

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
