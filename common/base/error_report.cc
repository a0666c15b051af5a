#include "common/base/error_report.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "common/base/text.h"

namespace tributary {
namespace {

constexpr char kFixPayload[] = "tributary/fix";

std::string_view GeneralFix(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return "check that the other side runs and that its address can be reached";
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return "use an identity that is enrolled, active and has this role";
    case absl::StatusCode::kDeadlineExceeded:
      return "try again; if it lasts, look at the other side's log";
    case absl::StatusCode::kResourceExhausted:
      return "free the resource named above (often disk space) and try again";
    case absl::StatusCode::kInternal:
      return "this looks like a bug: please report it with the log";
    default:
      return "";
  }
}

// "NOT_FOUND" -> "not_found".
std::string CodeWord(absl::StatusCode code) {
  std::string word = absl::StatusCodeToString(code);
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return word;
}

}  // namespace

int ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
      return kExitUsage;
    case absl::StatusCode::kUnavailable:
      return kExitUnreachable;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitNotAllowed;
    case absl::StatusCode::kDeadlineExceeded:
      return kExitTimedOut;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kFailedPrecondition:
      return kExitConflict;
    case absl::StatusCode::kInternal:
      return kExitBug;
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailed;
  }
}

absl::Status WithFix(absl::Status status, std::string_view fix) {
  if (!status.ok()) status.SetPayload(kFixPayload, absl::Cord(absl::string_view(fix.data(), fix.size())));
  return status;
}

std::string FormatError(const absl::Status& status, bool json) {
  const absl::optional<absl::Cord> own = status.GetPayload(kFixPayload);
  const std::string fix = own.has_value() ? std::string(*own) : std::string(GeneralFix(status.code()));
  const std::string cause(status.message());
  if (json) {
    const nlohmann::json document = {{"error", {{"code", CodeWord(status.code())}, {"cause", cause}, {"fix", fix}}}};
    return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  return EscapeLinesForTerminal(
      absl::StrCat("error: ", cause, "\n", fix.empty() ? "" : absl::StrCat("fix: ", fix, "\n")));
}

}  // namespace tributary
