#include "server/service/door.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <utility>

#include "common/rpc/credentials.h"

namespace tributary::service {

// The acceptor goes before the server it hands connections to.
struct Door::Handover {
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
};

Door::Door(std::unique_ptr<SocketListener> listener, std::unique_ptr<Handover> handover)
    : listener_(std::move(listener)), handover_(std::move(handover)) {}

Door::~Door() { Close(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<Door>> Door::Open(rpc::Listener kind, const identity::HostPort& address,
                                                 const crypto::CredentialDirectory& credentials,
                                                 const std::vector<grpc::Service*>& services) {
  TRB_ASSIGN_OR_RETURN(std::unique_ptr<SocketListener> listener, SocketListener::Bind(address));
  TRB_ASSIGN_OR_RETURN(const auto tls, rpc::MakeServerCredentials(kind, credentials));
  grpc::ServerBuilder builder;
  rpc::ApplyServerOptions(kind, &builder);
  auto handover = std::make_unique<Handover>();
  handover->acceptor = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, tls);
  for (grpc::Service* service : services) builder.RegisterService(service);
  handover->server = builder.BuildAndStart();
  if (handover->server == nullptr) return absl::InternalError("the gRPC server does not start");
  return std::unique_ptr<Door>(new Door(std::move(listener), std::move(handover)));
}

void Door::Serve() {
  listener_->Start([acceptor = handover_->acceptor.get()](int listener_fd, int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.listener_fd = listener_fd;
    connection.fd = fd;
    acceptor->HandleNewConnection(&connection);
  });
}

void Door::StopAccepting() { listener_->Stop(); }

void Door::Close(absl::Duration patience) {
  StopAccepting();
  if (handover_ == nullptr) return;
  handover_->server->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(patience));
  handover_ = nullptr;
}

}  // namespace tributary::service
