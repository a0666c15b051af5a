// One listening port with its gRPC server: the main door (enrolled peers, mutual TLS) or the enrolment door.
// The port is ours to accept on (socket_listener.h); TLS, limits and keepalive are common/rpc's.
// Threads: Open and Close from one thread at a time.
#ifndef TRIBUTARY_SERVER_SERVICE_DOOR_H_
#define TRIBUTARY_SERVER_SERVICE_DOOR_H_

#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/crypto/credential_directory.h"
#include "common/rpc/listener.h"
#include "server/identity/federation.h"
#include "server/service/socket_listener.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace tributary::service {

class Door {
 public:
  // Binds the port; connections wait until Serve. `services` are borrowed and outlive the door. Port 0: the system
  // chooses. ALREADY_EXISTS: the port is in use.
  static absl::StatusOr<std::unique_ptr<Door>> Open(rpc::Listener kind, const identity::HostPort& address,
                                                    const crypto::CredentialDirectory& credentials,
                                                    const std::vector<grpc::Service*>& services);
  ~Door();  // Close with no patience

  const identity::HostPort& address() const { return listener_->endpoint(); }  // with the port it really has
  void Serve();
  // No new connections from here on; calls under way go on.
  void StopAccepting();
  // Also waits up to `patience` for calls under way, then cancels them.
  void Close(absl::Duration patience);

 private:
  struct Handover;
  Door(std::unique_ptr<SocketListener> listener, std::unique_ptr<Handover> handover);

  std::unique_ptr<SocketListener> listener_;
  std::unique_ptr<Handover> handover_;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_DOOR_H_
