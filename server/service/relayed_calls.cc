#include "server/service/relayed_calls.h"

#include <grpcpp/server_context.h>

#include <utility>

#include "common/rpc/peer.h"
#include "common/rpc/status_codes.h"

namespace tributary::service {
namespace {

constexpr uint64_t kCallsBetweenSweeps = 256;  // of the rates that are full again

bool IsTheCallersFault(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsInvalidArgument(status) || absl::IsUnauthenticated(status);
}

}  // namespace

grpc::ServerUnaryReactor* RelayedCalls::Enrol(grpc::CallbackServerContext* context, const v1::EnrolRequest* request,
                                              v1::EnrolResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const std::string peer = rpc::PeerAddress(*context);
  connections_.Asked(peer);
  const absl::Status begun = Begin({reactor, response, peer}, *request);
  if (!begun.ok()) reactor->Finish(rpc::ToGrpc(begun));
  return reactor;
}

absl::Status RelayedCalls::Begin(const Call& call, const v1::EnrolRequest& request) {
  RelayedRequest relayed{0, call.peer, request};
  // The rate goes by site: a stranger has as many ports as it likes, and as many IPv6 addresses.
  const bool may = rate_.Take(Connections::SiteOf(call.peer));
  if (!may) connections_.Blamed(call.peer);
  {
    MutexLock lock(&mu_);
    if (next_ % kCallsBetweenSweeps == 0) rate_.TakeRefused();
    relayed.id = next_++;
    if (!may || calls_.size() >= kRelayedAtOnce) return absl::UnavailableError("too many calls: try again later");
    calls_.emplace(relayed.id, call);
  }
  const absl::Status sent = SendRelayed(relay_fd_, EncodeRelayed(relayed));
  if (sent.ok()) return absl::OkStatus();
  MutexLock lock(&mu_);
  // Not ours to finish when EndAll was faster.
  return calls_.erase(relayed.id) > 0 ? absl::UnavailableError("the coordinator does not answer") : absl::OkStatus();
}

void RelayedCalls::Answer(const RelayedAnswer& answer) {
  Call call{};
  {
    MutexLock lock(&mu_);
    const auto it = calls_.find(answer.id);
    if (it == calls_.end()) return;
    call = it->second;
    calls_.erase(it);
  }
  if (IsTheCallersFault(answer.status)) connections_.Blamed(call.peer);
  *call.response = answer.response;
  call.reactor->Finish(rpc::ToGrpc(answer.status));
}

void RelayedCalls::EndAll() {
  std::map<uint64_t, Call> ended;
  {
    MutexLock lock(&mu_);
    ended = std::exchange(calls_, {});
  }
  for (const auto& [id, call] : ended) {
    call.reactor->Finish(rpc::ToGrpc(absl::UnavailableError("the coordinator is shutting down")));
  }
}

}  // namespace tributary::service
