// Why a task was not taken, or not finished: the code and the line for people that TaskAnswer carries.
// Threads: plain values and pure functions.
#ifndef TRIBUTARY_CLIENT_SESSION_REFUSAL_H_
#define TRIBUTARY_CLIENT_SESSION_REFUSAL_H_

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace tributary::session {

// Empty code: not refused.
struct Refusal {
  std::string code;  // of TaskAnswer
  std::string reason;
  bool refused() const { return !code.empty(); }
};

// As it is kept and logged: one line of at most 500 bytes, a code of at most 64. What a coordinator says may be of any
// length.
Refusal Shortened(Refusal refusal);

// FAILED_PRECONDITION with the reason as its message; RefusalOf finds the code in it again.
absl::Status ToStatus(const Refusal& refusal);
// `code` for a status that ToStatus did not make. `status` is not OK.
Refusal RefusalOf(const absl::Status& status, std::string_view code);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_REFUSAL_H_
