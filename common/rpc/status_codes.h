// The one place where absl::Status and grpc::Status meet. Codes have the same numbers; payloads do not travel. Messages
// are cut at 1,000 bytes and bytes that are not printable are escaped: they end in terminals and logs.
#ifndef TRIBUTARY_COMMON_RPC_STATUS_CODES_H_
#define TRIBUTARY_COMMON_RPC_STATUS_CODES_H_

#include "common/base/status.h"

namespace grpc {
class Status;
}

namespace tributary::rpc {

// INTERNAL, DATA_LOSS and UNKNOWN travel with a general text: their messages name files of the coordinator and belong
// in its log.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_STATUS_CODES_H_
