// Places where a test can end this process, make a step fail, or hold it up: before and after every step that makes
// something durable or answers a peer.
//
//   TRB_FAIL_POINT("file.renamed", path);
//
// A name is "WHAT" or "WHAT:WHERE"; WHERE is made of the second argument. In the programs that are shipped
// PassFailPoint does nothing: fail_point.cc is all there is of it. The programs in BUILD/tests/fail_points/ are made of
// the same objects, but linked with tests/support/fail_points.cc in its place, which obeys TRIBUTARY_FAILPOINT.
// Threads: safe from any thread.
#ifndef TRIBUTARY_COMMON_BASE_FAIL_POINT_H_
#define TRIBUTARY_COMMON_BASE_FAIL_POINT_H_

#include <string_view>

#include "common/base/status.h"

namespace tributary {

// OK, or the error that the test asked for. `where`: a path, the name of a transaction, or nothing.
absl::Status PassFailPoint(std::string_view what, std::string_view where = "");

}  // namespace tributary

#define TRB_FAIL_POINT(...) TRB_RETURN_IF_ERROR(::tributary::PassFailPoint(__VA_ARGS__))

#endif  // TRIBUTARY_COMMON_BASE_FAIL_POINT_H_
