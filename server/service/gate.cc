#include "server/service/gate.h"

#include <google/protobuf/message.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <limits>
#include <utility>

#include "common/base/limited_log.h"
#include "common/base/logging.h"
#include "common/crypto/certificate.h"
#include "common/rpc/peer.h"
#include "common/rpc/status_codes.h"
#include "common/wire/check.h"

namespace tributary::service {
namespace {

int64_t NotAfter(const std::string& certificate_pem) {
  const auto certificate = crypto::Certificate::FromPem(certificate_pem);
  return certificate.ok() ? absl::ToUnixMillis(certificate->not_after()) : std::numeric_limits<int64_t>::max();
}

// The client's id in the certificate that TLS verified, without a look at the ledger; empty for others. Good for
// counting, not for admission.
std::string ClientIdOf(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return "";
  const auto values = auth->FindPropertyValues(GRPC_PEER_SPIFFE_ID_PROPERTY_NAME);
  if (values.size() != 1) return "";
  constexpr std::string_view kClient = "/client/";
  const std::string_view uri(values[0].data(), values[0].size());
  const size_t at = uri.rfind(kClient);
  return at == std::string_view::npos ? "" : std::string(uri.substr(at + kClient.size()));
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

grpc::ServerUnaryReactor* Gate::Serve(grpc::CallbackServerContext* context, std::string_view method,
                                      const google::protobuf::Message& request, Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const auto serve = [this, peer = Greet(*context), reactor, method, &request, work = std::move(work)] {
    const auto caller = Admit(peer, method);
    absl::Status done = caller.status();
    if (done.ok()) done = Check(*caller, method, request);
    if (done.ok()) done = work(*caller);
    if (!done.ok()) LogFailure(method, done);
    reactor->Finish(rpc::ToGrpc(done));
  };
  const absl::Status begun = Begin(*context, method, serve, request.ByteSizeLong());
  if (!begun.ok()) reactor->Finish(rpc::ToGrpc(begun));
  return reactor;
}

rpc::Peer Gate::Greet(const grpc::ServerContextBase& context) {
  rpc::Peer peer = rpc::PeerOf(context);
  if (parts_.connections != nullptr) parts_.connections->Asked(peer.address);
  return peer;
}

absl::Status Gate::Begin(const grpc::ServerContextBase& context, std::string_view method, std::function<void()> work,
                         uint64_t bytes) {
  const std::string client = parts_.quotas == nullptr ? "" : ClientIdOf(context);
  if (!client.empty()) {
    const absl::Status may = parts_.quotas->TakeCall(client);
    if (!may.ok()) {
      // Coming back on ever new connections wins nothing.
      if (parts_.connections != nullptr) parts_.connections->Blamed(rpc::PeerAddress(context));
      TellOverQuota(client, method, may);
      return may;
    }
  }
  return parts_.workers->Offer(std::move(work), bytes);
}

absl::Status Gate::Check(const identity::Principal& caller, std::string_view method,
                         const google::protobuf::Message& message) {
  const absl::Status good = wire::Check(message);
  if (good.ok()) return good;
  Log(LogLevel::kWarning, "message_refused",
      {{"caller", caller.Actor()}, {"method", method}, {"reason", good.message()}});
  parts_.identities->AuditRefusal(caller, "message.refused", std::string(method), good);
  return good;
}

void Gate::TellOverQuota(const std::string& client_id, std::string_view method, const absl::Status& why) {
  if (parts_.quotas == nullptr || !parts_.quotas->WorthTelling(client_id)) return;
  parts_.workers->Post([this, client_id, method, why] {
    Log(LogLevel::kWarning, "over_quota", {{"client_id", client_id}, {"method", method}, {"reason", why.message()}});
    identity::Principal caller;
    caller.role = identity::Principal::Role::kClient;
    caller.id = client_id;
    caller.name = parts_.identities->NameOfClient(client_id);
    parts_.identities->AuditRefusal(caller, "quota", std::string(method), why);
  });
}

absl::StatusOr<identity::Principal> Gate::Admit(const rpc::Peer& peer, std::string_view method) {
  auto caller = parts_.identities->Authorize(parts_.door, method, peer.certificate_pem, peer.address);
  if (parts_.connections == nullptr) return caller;
  if (absl::IsUnauthenticated(caller.status())) parts_.connections->Refused(peer.address);
  if (absl::IsPermissionDenied(caller.status())) parts_.connections->Blamed(peer.address);
  if (caller.ok() && !caller->id.empty()) parts_.connections->Known(peer.address, caller->id);
  return caller;
}

absl::StatusOr<StreamPass> Gate::AdmitStream(const rpc::Peer& peer, std::string_view method, LiveCalls::Cut cut) {
  StreamPass pass;
  pass.address = peer.address;
  TRB_ASSIGN_OR_RETURN(pass.caller, Admit(peer, method));
  pass.token = parts_.live->Add(pass.caller.id, NotAfter(peer.certificate_pem), std::move(cut));
  const auto again = parts_.identities->Authorize(parts_.door, method, peer.certificate_pem, peer.address);
  if (again.ok()) return pass;
  Leave(pass);
  return again.status();
}

}  // namespace tributary::service
