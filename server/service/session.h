// One client's long stream: hello up, welcome down, then heartbeats, answers and progress up, tasks, cancels and pace
// down. Knows the wire, decides nothing: what a message means is the Handler's to say.
//
// Life: made by Create, keeps itself alive until gRPC is done with the stream; reads nothing before Admit. What is sent
// before Welcome waits behind it.
// Threads: Send, Welcome and End are safe from any thread and never block. The Handler is called on a worker, one
// message of a client at a time, in order; heartbeats come on gRPC's thread.
#ifndef TRIBUTARY_SERVER_SERVICE_SESSION_H_
#define TRIBUTARY_SERVER_SERVICE_SESSION_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <string>

#include "common/base/mutex.h"
#include "server/service/gate.h"
#include "server/service/outgoing_stream.h"
#include "server/service/session_registry.h"
#include "server/service/worker_pool.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::service {

class Session : public grpc::ServerBidiReactor<v1::ClientMessage, v1::CoordinatorMessage>,
                public SessionSink,
                public std::enable_shared_from_this<Session> {
 public:
  // Most that waits for a slow peer; one more message ends the session. (A task of a long run may have megabytes: the
  // chain of records that the client has not seen.)
  static constexpr size_t kMaxQueued = 256, kMaxQueuedBytes = 32 << 20;

  class Handler {
   public:
    virtual ~Handler() = default;
    // A message is here, on gRPC's thread; must not wait. An error ends the session with it, unread.
    virtual absl::Status OnArrival(Session* session) = 0;
    // A message other than a heartbeat. An error ends the session with it.
    virtual absl::Status OnMessage(const std::shared_ptr<Session>& session, const v1::ClientMessage& message) = 0;
    virtual void OnHeartbeat(Session* session) = 0;
    // The stream is over; comes after the last message.
    virtual void OnEnd(Session* session) = 0;
  };

  // `handler`, `workers` and `context` are borrowed and outlive the stream.
  static std::shared_ptr<Session> Create(Handler* handler, OrderedWorkers* workers,
                                         grpc::CallbackServerContext* context);

  // Once, before anything else: begins to read. Without it the session only waits for its End. False: it has ended
  // already, and the pass stays the caller's.
  bool Admit(const StreamPass& pass) TRB_EXCLUDES(mu_);
  const StreamPass& pass() const { return pass_; }
  const std::string& client_id() const { return pass_.caller.id; }
  // Which session this is in the registry; 0 before hello. Set on the worker that handles hello.
  uint64_t number() const { return number_.load(); }
  void set_number(uint64_t number) { number_.store(number); }

  // The first message down; opens the way for what was sent before it.
  void Welcome(v1::Welcome welcome) TRB_EXCLUDES(mu_);
  void Send(v1::CoordinatorMessage message) override TRB_EXCLUDES(mu_);
  void End(const absl::Status& status, bool flush) override TRB_EXCLUDES(mu_);
  void Cancel() override TRB_EXCLUDES(mu_);
  bool IsBusy() const override { return busy_.load(); }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  using Reactor = grpc::ServerBidiReactor<v1::ClientMessage, v1::CoordinatorMessage>;
  using Outgoing = OutgoingStream<Reactor, v1::CoordinatorMessage>;
  Session(Handler* handler, OrderedWorkers* workers, grpc::CallbackServerContext* context)
      : handler_(*handler), workers_(*workers), out_(this, context, {kMaxQueued, kMaxQueuedBytes, true}) {}
  bool IsEnding() TRB_EXCLUDES(mu_);
  void HandleIncoming();
  void ReadNext() TRB_EXCLUDES(mu_);

  StreamPass pass_;  // set once, by Admit, before the first message
  Handler& handler_;
  OrderedWorkers& workers_;
  std::shared_ptr<Session> self_;    // until OnDone
  std::atomic<uint64_t> number_{0};  // locks itself
  std::atomic<bool> busy_{false};    // a message waits for a worker, or has one
  v1::ClientMessage incoming_;       // gRPC's while a read is under way, else the reader's

  Mutex mu_;
  Outgoing out_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_SESSION_H_
