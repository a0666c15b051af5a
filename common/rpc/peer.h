// Who is on the other end of a connection, as TLS says. Nothing in a message or in metadata may change that.
#ifndef TRIBUTARY_COMMON_RPC_PEER_H_
#define TRIBUTARY_COMMON_RPC_PEER_H_

#include <string>

namespace grpc {
class AuthContext;
class ServerContextBase;
}  // namespace grpc

namespace tributary::rpc {

// PEM of the certificate that the peer proved to own; empty when it showed none.
std::string PeerCertificatePem(const grpc::AuthContext& context);
// Of the call's connection. Callback and synchronous contexts both derive from ServerContextBase.
std::string PeerCertificatePem(const grpc::ServerContextBase& context);
// "127.0.0.1:5000" or "[::1]:5000": for audit and logs, and to find the connection; it says nothing about who calls.
std::string PeerAddress(const grpc::ServerContextBase& context);

struct Peer {
  std::string certificate_pem;
  std::string address;
};
Peer PeerOf(const grpc::ServerContextBase& context);

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_PEER_H_
