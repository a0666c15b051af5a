// TLS for both ends, and every transport setting of the project. There is no insecure variant.
//
// Whose certificate is good is decided by peer_check.h at both ends, once the handshake has proved that the peer has
// the key and before a byte of HTTP/2 is read or written. gRPC's own check is left out: it cannot say what was wrong.
//
// Credentials watch their CredentialDirectory: a renewed certificate is used for handshakes that begin
// `refresh_seconds` after the swap; connections that are open stay on the old one until they end. TLS 1.2 or 1.3.
//
// Threads: all functions are safe from any thread. The directory must stay where it is while credentials made from it
// are in use.
#ifndef TRIBUTARY_COMMON_RPC_CREDENTIALS_H_
#define TRIBUTARY_COMMON_RPC_CREDENTIALS_H_

#include <functional>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/crypto/credential_directory.h"
#include "common/crypto/trust_list.h"
#include "common/rpc/listener.h"

namespace grpc {
class Channel;
class ServerBuilder;
class ServerCredentials;
}  // namespace grpc

namespace tributary::rpc {

inline constexpr unsigned kCredentialRefreshSeconds = 5;

// What a server hears of a handshake that it refused.
struct HandshakeRefusal {
  std::string reason;              // "it showed no certificate", ...
  std::string certificate_sha256;  // empty: none that can be read
};
using OnHandshakeRefused = std::function<void(const HandshakeRefusal&)>;  // on a thread of gRPC's: must not block

// Of a server that shows the directory's certificate, and those after it. kMain: a member's certificate (CheckMember)
// is required, of an authority that `trust` (the directory's own list when it is null) trusts at that moment.
// kEnrolment: none is asked for. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT as CredentialDirectory::Load.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    Listener listener, const crypto::CredentialDirectory& directory,
    unsigned refresh_seconds = kCredentialRefreshSeconds, OnHandshakeRefused on_refused = nullptr,
    std::shared_ptr<const crypto::CurrentTrust> trust = nullptr);

// Limits, keepalive and flow control of a server. Call once a builder, before BuildAndStart.
void ApplyServerOptions(Listener listener, grpc::ServerBuilder* builder);

// A lazily connecting channel to HOST:PORT that shows the directory's certificate and talks to the coordinator of the
// directory's authorities alone (CheckServer), as they are now. Calls fail with UNAVAILABLE and the reason while the
// server is another; see WrongServer. Same errors as above, INVALID_ARGUMENT for a malformed endpoint. After a renewal,
// or another list of authorities, open a new channel: the old one keeps its connection, certificate and list.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& endpoint,
                                                           const crypto::CredentialDirectory& directory,
                                                           unsigned refresh_seconds = kCredentialRefreshSeconds);

// The same without a certificate of one's own: for enrolment, pinned to the CA of the invitation.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenEnrolmentChannel(const std::string& endpoint,
                                                                    const std::string& ca_certificate_pem);

// What a call over these channels ended with, if it was because of who answered: gRPC says UNAVAILABLE, as for a server
// that is not there. PERMISSION_DENIED: another server; FAILED_PRECONDITION: its certificate is out of date by this
// clock. Otherwise OK.
absl::Status WrongServer(const absl::Status& status);

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_CREDENTIALS_H_
