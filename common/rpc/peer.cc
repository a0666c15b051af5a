#include "common/rpc/peer.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

namespace tributary::rpc {
namespace {

// gRPC says "ipv4:127.0.0.1:5000" and "ipv6:%5B::1%5D:5000" (percent-encoded).
std::string Decoded(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 3, "%5B") == 0 || text.compare(i, 3, "%5D") == 0) {
      out.push_back(text[i + 2] == 'B' ? '[' : ']');
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace

std::string PeerCertificatePem(const grpc::AuthContext& context) {
  if (!context.IsPeerAuthenticated()) return "";
  const auto values = context.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  return values.size() == 1 ? std::string(values[0].data(), values[0].size()) : "";
}

std::string PeerCertificatePem(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  return auth == nullptr ? "" : PeerCertificatePem(*auth);
}

std::string PeerAddress(const grpc::ServerContextBase& context) {
  const std::string peer = context.peer();
  const size_t colon = peer.find(':');
  return Decoded(colon == std::string::npos ? peer : peer.substr(colon + 1));
}

Peer PeerOf(const grpc::ServerContextBase& context) { return {PeerCertificatePem(context), PeerAddress(context)}; }

}  // namespace tributary::rpc
