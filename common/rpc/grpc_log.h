// What gRPC and protobuf themselves have to say goes through our log, a limited number of lines: strangers can make it
// talk, and so can a coordinator. Call once, before gRPC is used.
#ifndef TRIBUTARY_COMMON_RPC_GRPC_LOG_H_
#define TRIBUTARY_COMMON_RPC_GRPC_LOG_H_

#include "common/base/logging.h"

namespace tributary::rpc {

// Its errors are told at `errors`: kDebug where each call's status says the same.
void TakeOverGrpcLog(LogLevel errors = LogLevel::kWarning);

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_GRPC_LOG_H_
