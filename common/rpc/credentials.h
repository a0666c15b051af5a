// TLS for both ends, and every transport setting of the project. There is no insecure variant.
//
// Credentials watch their CredentialDirectory: a renewed certificate is used for handshakes that begin
// `refresh_seconds` after the swap; connections that are open stay on the old one until they end. TLS 1.2 or 1.3.
//
// Threads: all functions are safe from any thread. The directory must stay where it is while credentials made from it
// are in use.
#ifndef TRIBUTARY_COMMON_RPC_CREDENTIALS_H_
#define TRIBUTARY_COMMON_RPC_CREDENTIALS_H_

#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/crypto/credential_directory.h"
#include "common/rpc/listener.h"

namespace grpc {
class Channel;
class ServerBuilder;
class ServerCredentials;
}  // namespace grpc

namespace tributary::rpc {

inline constexpr unsigned kCredentialRefreshSeconds = 5;

// Of a server that shows the directory's certificate. kMain: a client certificate signed by the directory's CA is
// required and verified. kEnrolment: none is asked for. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT as
// CredentialDirectory::Load.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    Listener listener, const crypto::CredentialDirectory& directory,
    unsigned refresh_seconds = kCredentialRefreshSeconds);

// Limits, keepalive and flow control of a server. Call once a builder, before BuildAndStart.
void ApplyServerOptions(Listener listener, grpc::ServerBuilder* builder);

// A lazily connecting channel to HOST:PORT that shows the directory's certificate and trusts the directory's CA alone;
// the server's certificate must name HOST. Same errors as above, INVALID_ARGUMENT for a malformed endpoint.
// After a renewal open a new channel: the old one keeps its connection, and with it the old certificate.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& endpoint,
                                                           const crypto::CredentialDirectory& directory,
                                                           unsigned refresh_seconds = kCredentialRefreshSeconds);

// The same without a certificate of one's own: for enrolment, pinned to the CA of the invitation.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenEnrolmentChannel(const std::string& endpoint,
                                                                    const std::string& ca_certificate_pem);

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_CREDENTIALS_H_
