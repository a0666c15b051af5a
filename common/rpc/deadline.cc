#include "common/rpc/deadline.h"

#include <grpc/support/time.h>
#include <grpcpp/client_context.h>

namespace tributary::rpc {

void SetTimeout(absl::Duration timeout, grpc::ClientContext* context) {
  if (timeout == absl::InfiniteDuration()) return;
  context->set_deadline(gpr_time_from_millis(absl::ToInt64Milliseconds(timeout), GPR_TIMESPAN));
}

}  // namespace tributary::rpc
