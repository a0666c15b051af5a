// CoordinatorLink over gRPC with mutual TLS.
// Threads: as CoordinatorLink says. Sessions and calls keep what they need alive; the link may go before them.
#ifndef TRIBUTARY_CLIENT_SESSION_GRPC_LINK_H_
#define TRIBUTARY_CLIENT_SESSION_GRPC_LINK_H_

#include <memory>
#include <string>

#include "client/session/coordinator_link.h"
#include "common/base/status.h"

namespace tributary::session {

// To HOST:PORT with the credential that is installed in `pki_directory`. Connects lazily. Errors as rpc::OpenChannel.
absl::StatusOr<std::unique_ptr<CoordinatorLink>> MakeGrpcLink(const std::string& endpoint,
                                                              const std::string& pki_directory);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_GRPC_LINK_H_
