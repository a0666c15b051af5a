// What a check of a history found: in plain words what is wrong, empty when nothing is. A status that is not OK means
// that it could not be looked at.
#ifndef TRIBUTARY_COMMON_HISTORY_FINDING_H_
#define TRIBUTARY_COMMON_HISTORY_FINDING_H_

#include <string>

#include "common/base/status.h"

namespace tributary::history {

using Finding = absl::StatusOr<std::string>;

inline constexpr const char* kNothing = "";

// Returns from the function with the finding or the error of `expression`, if there is one.
#define TRB_RETURN_IF_FOUND(expression)                                              \
  do {                                                                               \
    if (::tributary::history::Finding trb_finding = (expression); !trb_finding.ok()) \
      return trb_finding;                                                            \
    else if (!trb_finding->empty())                                                  \
      return trb_finding;                                                            \
  } while (false)

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_FINDING_H_
