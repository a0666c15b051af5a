// CoordinatorLink over gRPC with mutual TLS.
// Threads: as CoordinatorLink says. Sessions and calls keep what they need alive; the link may go before them.
#ifndef TRIBUTARY_CLIENT_SESSION_GRPC_LINK_H_
#define TRIBUTARY_CLIENT_SESSION_GRPC_LINK_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "client/session/coordinator_link.h"
#include "common/base/status.h"

namespace tributary::session {

struct GrpcLinkOptions {
  // Of one DownloadModel or UploadUpdate, which then ends with DEADLINE_EXCEEDED and is resumed by the next: a transfer
  // that got stuck would hold its task, and all that wait behind it, for ever.
  absl::Duration transfer_timeout = absl::Minutes(2);
};

// To HOST:PORT with the credential that is installed in `pki_directory`. Connects lazily. Errors as rpc::OpenChannel.
absl::StatusOr<std::unique_ptr<CoordinatorLink>> MakeGrpcLink(const std::string& endpoint,
                                                              const std::string& pki_directory,
                                                              GrpcLinkOptions options = {});

// Asks the coordinator something harmless that needs an accepted identity, without a session (which would end that of a
// running daemon). OK: it answered. UNAVAILABLE, DEADLINE_EXCEEDED: not reached. PERMISSION_DENIED, UNAUTHENTICATED:
// this identity is revoked or unknown.
absl::Status ProbeCoordinator(const std::string& endpoint, const std::string& pki_directory, absl::Duration timeout);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_GRPC_LINK_H_
