// Small helpers around absl::Status, which Debian 12's Abseil lacks. The one error type of the project (style H4):
// no exception leaves a function of ours; CHECK is for our own bugs, never for input.
#ifndef TRIBUTARY_COMMON_BASE_STATUS_H_
#define TRIBUTARY_COMMON_BASE_STATUS_H_

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tributary {

// The same code and payloads, with `context: ` put before the message. OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

// INTERNAL, UNAVAILABLE... from errno, e.g. "open /x/y: No such file or directory". NOT_FOUND for ENOENT,
// PERMISSION_DENIED for EACCES/EPERM, RESOURCE_EXHAUSTED for ENOSPC/EDQUOT/EFBIG/EMFILE, ALREADY_EXISTS for EEXIST,
// INVALID_ARGUMENT for a path that cannot be one (ELOOP, ENAMETOOLONG, ENOTDIR, EISDIR).
absl::Status ErrnoToStatus(int error_number, std::string_view what);

// Prints file, line and condition to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace tributary

// For broken invariants of our own code only.
#define TRB_CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::tributary::CheckFailed(__FILE__, __LINE__, #condition))

#define TRB_RETURN_IF_ERROR(expression)                                                \
  do {                                                                                 \
    if (::absl::Status trb_status = (expression); !trb_status.ok()) return trb_status; \
  } while (false)

#define TRB_CONCAT_INNER(a, b) a##b
#define TRB_CONCAT(a, b) TRB_CONCAT_INNER(a, b)
#define TRB_ASSIGN_OR_RETURN_IMPL(tmp, left, expression) \
  auto tmp = (expression);                               \
  if (!tmp.ok()) return tmp.status();                    \
  left = std::move(tmp).value()

// TRB_ASSIGN_OR_RETURN(auto x, F());  The left side may not hold a comma outside parentheses.
#define TRB_ASSIGN_OR_RETURN(left, expression) \
  TRB_ASSIGN_OR_RETURN_IMPL(TRB_CONCAT(trb_statusor_, __LINE__), left, expression)

#endif  // TRIBUTARY_COMMON_BASE_STATUS_H_
