#include "server/service/hello_checks.h"

#include "absl/strings/str_cat.h"
#include "common/rpc/limits.h"

namespace tributary::service {

absl::Status CheckProtocolVersion(uint32_t theirs) {
  constexpr uint32_t ours = rpc::kProtocolVersion;
  // A client that is one version ahead still speaks ours; Welcome tells it to.
  if (theirs >= 1 && theirs <= ours + 1) return absl::OkStatus();
  const char* who = theirs > ours ? "upgrade the coordinator" : "upgrade the client";
  return absl::FailedPreconditionError(absl::StrCat("protocol versions too far apart: the client speaks ", theirs,
                                                    ", the coordinator ", ours, "; ", who));
}

}  // namespace tributary::service
