// How the three programs end and what they say then: exit codes (a contract, docs/reference/exit-codes.md) and errors
// with cause and fix.
#ifndef TRIBUTARY_COMMON_BASE_ERROR_REPORT_H_
#define TRIBUTARY_COMMON_BASE_ERROR_REPORT_H_

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace tributary {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,  // the thing failed
  kExitUsage = 2,   // wrong flags, or a file of the user's that says what cannot be
  kExitUnreachable = 3,
  kExitNotAllowed = 4,
  kExitTimedOut = 5,
  kExitConflict = 6,  // exists already, in use, or in a state that does not allow it
  kExitBug = 70,
  kExitInterrupted = 130,
};

int ExitCodeFor(const absl::Status& status);

// The same status with advice for the person who reads it; it is printed as `fix`.
absl::Status WithFix(absl::Status status, std::string_view fix);

// `error: CAUSE` and `fix: FIX` lines, or {"error": {"code", "cause", "fix"}} as one line of JSON. Ends with a newline.
// Without WithFix a general advice by code is given where there is one.
std::string FormatError(const absl::Status& status, bool json);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_ERROR_REPORT_H_
