// The one choke point of every RPC: who calls is read from the TLS peer alone, the identity service says whether that
// caller may call this method on this door, the quotas whether it may now, and the wire's rules whether what it brought
// may be looked at. Every handler of every service goes through Serve, or through Begin, AdmitStream and Check.
// Threads: every method is safe from any thread; Admit, AdmitStream and Check use the ledger: call them on a worker.
// Ownership: what the constructor takes is borrowed and outlives the gate and all calls through it.
#ifndef TRIBUTARY_SERVER_SERVICE_GATE_H_
#define TRIBUTARY_SERVER_SERVICE_GATE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/status.h"
#include "common/rpc/listener.h"
#include "common/rpc/peer.h"
#include "server/identity/identity_service.h"
#include "server/service/client_quotas.h"
#include "server/service/connections.h"
#include "server/service/live_calls.h"
#include "server/service/worker_pool.h"

namespace google::protobuf {
class Message;
}

namespace grpc {
class CallbackServerContext;
class ServerContextBase;
class ServerUnaryReactor;
}  // namespace grpc

namespace tributary::service {

// A streaming call that was let in; until Leave it is cut when its caller is revoked or its certificate expires.
struct StreamPass {
  identity::Principal caller;
  uint64_t token = 0;   // in LiveCalls
  std::string address;  // of the connection
};

class Gate {
 public:
  struct Parts {
    rpc::Listener door;
    identity::IdentityService* identities;
    LiveCalls* live;
    WorkerPool* workers;
    Connections* connections = nullptr;  // of the door; null: nobody counts them
    ClientQuotas* quotas = nullptr;      // null: a door for strangers, who have limits of their own
  };
  explicit Gate(Parts parts) : parts_(std::move(parts)) {}

  // Runs `work` on a worker if the caller may and the request is one that may be looked at; finishes the call with what
  // it returns.
  using Work = std::function<absl::Status(const identity::Principal& caller)>;
  grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context, std::string_view method,
                                  const google::protobuf::Message& request, Work work);

  // First in every stream's handler: who is there, and that a call of theirs has come. Never blocks.
  rpc::Peer Greet(const grpc::ServerContextBase& context);
  // The first step of a streaming call, on a worker; safe on gRPC's threads. RESOURCE_EXHAUSTED: over a quota, or too
  // much waits. UNAVAILABLE: shutting down. `work` does not run then: end the call.
  absl::Status Begin(const grpc::ServerContextBase& context, std::string_view method, std::function<void()> work,
                     uint64_t bytes = 0);
  // What the caller sent, before anything of it is used (common/wire/check.h). A refusal is logged and audited.
  absl::Status Check(const identity::Principal& caller, std::string_view method,
                     const google::protobuf::Message& message);
  // Audits a quota's refusal, once a minute a client. Does not wait.
  void TellOverQuota(const std::string& client_id, std::string_view method, const absl::Status& why);

  // UNAUTHENTICATED, PERMISSION_DENIED: end the call with it.
  absl::StatusOr<identity::Principal> Admit(const rpc::Peer& peer, std::string_view method);
  // Admits, and registers the stream. Checked again after that, so that a revocation just now finds it. Takes what
  // Greet said and not the context: a stream that may be finished from OnCancel loses its context while it waits for a
  // worker.
  absl::StatusOr<StreamPass> AdmitStream(const rpc::Peer& peer, std::string_view method, LiveCalls::Cut cut);
  // A message of the stream has come. Never blocks.
  void Heard(const std::string& address) {
    if (parts_.connections != nullptr) parts_.connections->Heard(address);
  }
  LiveCalls& live() { return *parts_.live; }
  void Leave(const StreamPass& pass) { parts_.live->Remove(pass.token); }

  WorkerPool& workers() { return *parts_.workers; }

 private:
  const Parts parts_;
};

// What the caller may not be told in full (ToGrpc hides it) goes to the log, and refusals, so many lines a second.
void LogFailure(std::string_view method, const absl::Status& status);

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_GATE_H_
