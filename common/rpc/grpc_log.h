// What gRPC and protobuf themselves have to say goes through our log, a limited number of lines: strangers can make it
// talk. Call once, before gRPC is used.
#ifndef TRIBUTARY_COMMON_RPC_GRPC_LOG_H_
#define TRIBUTARY_COMMON_RPC_GRPC_LOG_H_

namespace tributary::rpc {

void TakeOverGrpcLog();

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_GRPC_LOG_H_
