// Deadlines of calls, from a duration: nobody needs to read a clock for one.
#ifndef TRIBUTARY_COMMON_RPC_DEADLINE_H_
#define TRIBUTARY_COMMON_RPC_DEADLINE_H_

#include "absl/time/time.h"

namespace grpc {
class ClientContext;
}

namespace tributary::rpc {

// The call ends with DEADLINE_EXCEEDED after `timeout`, counted from its start. InfiniteDuration: never.
void SetTimeout(absl::Duration timeout, grpc::ClientContext* context);

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_DEADLINE_H_
