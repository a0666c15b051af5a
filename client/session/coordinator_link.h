// What a client can ask of its coordinator: the calls of FederationService without gRPC, so that all logic above is
// tested against a fake. grpc_link.h is the real one.
//
// Threads: a link's methods are safe from any thread, many calls at once. Of a Session, Read belongs to one thread,
// Write to another (or the same), Cancel to any.
// Errors of every call: UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED: may be tried again. CANCELLED:
// `stop` was requested. UNAUTHENTICATED, PERMISSION_DENIED: this identity may not; do not retry. NOT_FOUND: the task is
// gone. FAILED_PRECONDITION: versions too far apart.
#ifndef TRIBUTARY_CLIENT_SESSION_COORDINATOR_LINK_H_
#define TRIBUTARY_CLIENT_SESSION_COORDINATOR_LINK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::session {

class CoordinatorLink {
 public:
  class Session {
   public:
    virtual ~Session() = default;
    // Blocks until the next message, or gives the reason why the session has ended (never OK).
    virtual absl::StatusOr<v1::CoordinatorMessage> Read() = 0;
    // May block on flow control. False: the session has ended, Read says why.
    virtual bool Write(const v1::ClientMessage& message) = 0;
    // Ends the session; a blocked Read or Write returns.
    virtual void Cancel() = 0;
  };

  virtual ~CoordinatorLink() = default;

  // Does not wait for a connection: the first Write does.
  virtual absl::StatusOr<std::unique_ptr<Session>> OpenSession() = 0;

  // `sink` takes the pieces in order; its error ends the call and is returned.
  using Sink = std::function<absl::Status(const v1::ModelChunk& chunk)>;
  virtual absl::Status DownloadModel(const v1::DownloadModelRequest& request, const Sink& sink,
                                     std::stop_token stop) = 0;

  virtual absl::StatusOr<v1::BeginUploadResponse> BeginUpload(const v1::BeginUploadRequest& request,
                                                              std::stop_token stop) = 0;

  // Sends bytes[ticket.offset..], in chunks.
  virtual absl::StatusOr<v1::UploadUpdateResponse> UploadUpdate(const v1::UploadTicket& ticket, std::string_view bytes,
                                                                std::stop_token stop) = 0;

  // Calls from here on use a new connection, and the certificate that is installed now.
  virtual absl::Status Reconnect() = 0;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_COORDINATOR_LINK_H_
