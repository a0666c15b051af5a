#include "server/service/gate.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <limits>
#include <utility>

#include "common/base/limited_log.h"
#include "common/base/logging.h"
#include "common/crypto/certificate.h"
#include "common/rpc/status_codes.h"

namespace tributary::service {
namespace {

int64_t NotAfter(const std::string& certificate_pem) {
  const auto certificate = crypto::Certificate::FromPem(certificate_pem);
  return certificate.ok() ? absl::ToUnixMillis(certificate->not_after()) : std::numeric_limits<int64_t>::max();
}

}  // namespace

void LogFailure(std::string_view method, const absl::Status& status) {
  static LimitedLog& refusals = *new LimitedLog;  // leaked: workers may speak while the process ends
  switch (status.code()) {
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnknown:
      return Log(LogLevel::kError, "call_failed", {{"method", method}, {"reason", status.ToString()}});
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      refusals.Log(LogLevel::kWarning, "call_refused", {{"method", method}, {"reason", status.ToString()}});
      return;
    default:
      return Log(LogLevel::kDebug, "call_ended", {{"method", method}, {"reason", status.ToString()}});
  }
}

grpc::ServerUnaryReactor* Gate::Serve(grpc::CallbackServerContext* context, std::string_view method, Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const bool posted = workers().Post([this, peer = Greet(*context), reactor, method, work = std::move(work)] {
    const auto caller = Admit(peer, method);
    const absl::Status done = caller.ok() ? work(*caller) : caller.status();
    if (!done.ok()) LogFailure(method, done);
    reactor->Finish(rpc::ToGrpc(done));
  });
  if (!posted) reactor->Finish(rpc::ToGrpc(absl::UnavailableError("the coordinator is shutting down")));
  return reactor;
}

rpc::Peer Gate::Greet(const grpc::ServerContextBase& context) {
  rpc::Peer peer = rpc::PeerOf(context);
  if (parts_.connections != nullptr) parts_.connections->Asked(peer.address);
  return peer;
}

absl::StatusOr<identity::Principal> Gate::Admit(const rpc::Peer& peer, std::string_view method) {
  auto caller = parts_.identities->Authorize(parts_.door, method, peer.certificate_pem, peer.address);
  if (absl::IsUnauthenticated(caller.status())) {
    if (parts_.connections != nullptr) parts_.connections->Refused(peer.address);
  } else if (parts_.connections != nullptr && caller.ok() && !caller->id.empty()) {
    parts_.connections->Known(peer.address, caller->id);
  }
  return caller;
}

absl::StatusOr<StreamPass> Gate::AdmitStream(const rpc::Peer& peer, std::string_view method, LiveCalls::Cut cut) {
  StreamPass pass;
  TRB_ASSIGN_OR_RETURN(pass.caller, Admit(peer, method));
  pass.token = parts_.live->Add(pass.caller.id, NotAfter(peer.certificate_pem), std::move(cut));
  const auto again = parts_.identities->Authorize(parts_.door, method, peer.certificate_pem, peer.address);
  if (again.ok()) return pass;
  Leave(pass);
  return again.status();
}

}  // namespace tributary::service
