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
#include "common/rpc/credentials.h"
#include "common/rpc/listener.h"
#include "server/identity/federation.h"
#include "server/service/connections.h"
#include "server/service/socket_listener.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace tributary::service {

class Door {
 public:
  struct Parts {
    rpc::Listener kind;
    crypto::CredentialDirectory credentials;
    std::vector<grpc::Service*> services;  // borrowed, as the connections; both outlive the door
    Connections* connections;
    rpc::OnHandshakeRefused on_refused;                           // may be empty
    std::shared_ptr<const crypto::CurrentTrust> trust = nullptr;  // of peers; null: as the credentials say
  };
  // Over a socket that listens; connections wait until Serve.
  static absl::StatusOr<std::unique_ptr<Door>> Open(std::unique_ptr<SocketListener> listener, Parts parts);
  ~Door();  // Close with no patience

  const identity::HostPort& address() const { return listener_->endpoint(); }  // with the port it really has
  void Serve();
  // No new connections from here on, and the port is free; calls under way go on.
  void StopAccepting();
  // Also waits up to `patience` for calls under way, then cancels them.
  void Close(absl::Duration patience);

 private:
  struct Handover;
  Door(std::unique_ptr<SocketListener> listener, std::unique_ptr<Handover> handover, Connections* connections);

  Connections& connections_;
  std::unique_ptr<SocketListener> listener_;
  std::unique_ptr<Handover> handover_;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_DOOR_H_
