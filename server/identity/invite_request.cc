#include "server/identity/invite_request.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bytes.h"
#include "common/base/names.h"

namespace tributary::identity {
namespace {

constexpr int kMaxLabels = 16;
constexpr size_t kMaxRequestIdBytes = 64;
constexpr char kNameRule[] = "1 to 63 characters of a-z 0-9 . _ -, the first a letter or digit";

}  // namespace

Role InvitedRole(const v1::InviteRequest& request) {
  return request.role() == RoleName(Role::kOperator) ? Role::kOperator : Role::kClient;
}

absl::Status ValidateInvite(const v1::InviteRequest& request, absl::Duration longest_life) {
  std::vector<std::string> faults;
  const auto quoted = [](const std::string& text) { return absl::StrCat("\"", EscapeForLog(text, 64), "\""); };
  if (!IsValidName(request.name()))
    faults.push_back(absl::StrCat("name ", quoted(request.name()), " is not allowed: ", kNameRule));
  if (!request.role().empty() && request.role() != "client" && request.role() != "operator")
    faults.push_back(absl::StrCat("role ", quoted(request.role()), " is neither client nor operator"));
  if (request.expires_in_ms() > static_cast<uint64_t>(absl::ToInt64Milliseconds(longest_life)))
    faults.push_back(absl::StrCat("an invitation lives for at most ", absl::FormatDuration(longest_life)));
  if (request.labels_size() > kMaxLabels) faults.push_back(absl::StrCat("at most ", kMaxLabels, " labels"));
  if (request.labels_size() > 0 && InvitedRole(request) == Role::kOperator) faults.push_back("labels are for clients");
  for (const auto& [key, value] : request.labels()) {
    if (!IsValidName(key) || !IsValidName(value))
      faults.push_back(
          absl::StrCat("label ", quoted(key), "=", quoted(value), " is not allowed: both parts have ", kNameRule));
  }
  if (request.request_id().size() > kMaxRequestIdBytes)
    faults.push_back(absl::StrCat("a request id has at most ", kMaxRequestIdBytes, " characters"));
  return faults.empty() ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrJoin(faults, "\n"));
}

}  // namespace tributary::identity
