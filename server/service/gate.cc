#include "server/service/gate.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <limits>
#include <utility>

#include "common/base/logging.h"
#include "common/crypto/certificate.h"
#include "common/rpc/peer.h"
#include "common/rpc/status_codes.h"

namespace tributary::service {
namespace {

int64_t NotAfter(const std::string& certificate_pem) {
  const auto certificate = crypto::Certificate::FromPem(certificate_pem);
  return certificate.ok() ? absl::ToUnixMillis(certificate->not_after()) : std::numeric_limits<int64_t>::max();
}

}  // namespace

void LogFailure(std::string_view method, const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnknown:
      return Log(LogLevel::kError, "call_failed", {{"method", method}, {"reason", status.ToString()}});
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return Log(LogLevel::kWarning, "call_refused", {{"method", method}, {"reason", status.ToString()}});
    default:
      return Log(LogLevel::kDebug, "call_ended", {{"method", method}, {"reason", status.ToString()}});
  }
}

grpc::ServerUnaryReactor* Gate::Serve(grpc::CallbackServerContext* context, std::string_view method, Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const bool posted = workers_.Post([this, context, reactor, method, work = std::move(work)] {
    const auto caller = Admit(*context, method);
    const absl::Status done = caller.ok() ? work(*caller) : caller.status();
    if (!done.ok()) LogFailure(method, done);
    reactor->Finish(rpc::ToGrpc(done));
  });
  if (!posted) reactor->Finish(rpc::ToGrpc(absl::UnavailableError("the coordinator is shutting down")));
  return reactor;
}

absl::StatusOr<identity::Principal> Gate::Admit(const grpc::ServerContextBase& context, std::string_view method) {
  return identities_.Authorize(door_, method, rpc::PeerCertificatePem(context));
}

absl::StatusOr<StreamPass> Gate::AdmitStream(const std::string& peer_pem, std::string_view method, LiveCalls::Cut cut) {
  StreamPass pass;
  TRB_ASSIGN_OR_RETURN(pass.caller, identities_.Authorize(door_, method, peer_pem));
  pass.token = live_.Add(pass.caller.id, NotAfter(peer_pem), std::move(cut));
  const auto again = identities_.Authorize(door_, method, peer_pem);
  if (again.ok()) return pass;
  Leave(pass);
  return again.status();
}

}  // namespace tributary::service
