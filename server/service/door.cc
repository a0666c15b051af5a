#include "server/service/door.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <utility>

namespace tributary::service {

// The acceptor goes before the server it hands connections to.
struct Door::Handover {
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
};

Door::Door(std::unique_ptr<SocketListener> listener, std::unique_ptr<Handover> handover, Connections* connections)
    : connections_(*connections), listener_(std::move(listener)), handover_(std::move(handover)) {}

Door::~Door() { Close(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<Door>> Door::Open(std::unique_ptr<SocketListener> listener, Parts parts) {
  TRB_ASSIGN_OR_RETURN(const auto tls,
                       rpc::MakeServerCredentials(parts.kind, parts.credentials, rpc::kCredentialRefreshSeconds,
                                                  parts.on_refused, parts.trust));
  grpc::ServerBuilder builder;
  rpc::ApplyServerOptions(parts.kind, &builder);
  auto handover = std::make_unique<Handover>();
  handover->acceptor = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, tls);
  for (grpc::Service* service : parts.services) builder.RegisterService(service);
  handover->server = builder.BuildAndStart();
  if (handover->server == nullptr) return absl::InternalError("the gRPC server does not start");
  return std::unique_ptr<Door>(new Door(std::move(listener), std::move(handover), parts.connections));
}

void Door::Serve() {
  listener_->Start(&connections_, [acceptor = handover_->acceptor.get()](int listener_fd, int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.listener_fd = listener_fd;
    connection.fd = fd;
    acceptor->HandleNewConnection(&connection);
  });
}

void Door::StopAccepting() { listener_->StopAccepting(); }

void Door::Close(absl::Duration patience) {
  StopAccepting();
  if (handover_ == nullptr) return;
  handover_->server->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(patience));
  handover_ = nullptr;
  listener_->Stop();
}

}  // namespace tributary::service
