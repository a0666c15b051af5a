// The upward half of one open session: a queue that never blocks its callers, a thread that writes, and heartbeats in
// between.
// Threads: Push from any thread; End and the destructor belong to the thread that made it. The thread inside ends at
// End, or when a write fails.
#ifndef TRIBUTARY_CLIENT_SESSION_SESSION_SENDER_H_
#define TRIBUTARY_CLIENT_SESSION_SESSION_SENDER_H_

#include <deque>
#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "client/session/coordinator_link.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::session {

class SessionSender {
 public:
  static constexpr size_t kMostQueued = 4096;

  // `session` and `clock` are borrowed. `on_heartbeat` is called on the thread after each heartbeat; may be empty.
  SessionSender(CoordinatorLink::Session* session, const Clock* clock, absl::Duration heartbeat_interval,
                std::function<void()> on_heartbeat);
  ~SessionSender();
  SessionSender(const SessionSender&) = delete;
  SessionSender& operator=(const SessionSender&) = delete;

  // A message too many (the coordinator floods this client and takes no answers) ends the session instead.
  void Push(v1::ClientMessage message) TRB_EXCLUDES(mu_);
  // Stops and joins; repeated calls do nothing. A blocked write must be ended by cancelling the session before. From
  // here on `session` is not touched any more, and Push does nothing: whoever still holds this sender may call it.
  void End() TRB_EXCLUDES(mu_);

 private:
  void Stop() TRB_EXCLUDES(mu_);
  void Run();
  // False at the end.
  bool WaitForNext(v1::ClientMessage* next) TRB_EXCLUDES(mu_);

  CoordinatorLink::Session& session_;
  const Clock& clock_;
  const absl::Duration interval_;
  const std::function<void()> on_heartbeat_;
  Mutex mu_;
  CondVar changed_;
  std::deque<v1::ClientMessage> queue_ TRB_GUARDED_BY(mu_);
  bool stopped_ TRB_GUARDED_BY(mu_) = false;
  absl::Duration next_heartbeat_ TRB_GUARDED_BY(mu_);
  uint64_t sequence_ TRB_GUARDED_BY(mu_) = 0;
  std::thread thread_;  // last: started when all else is there
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_SESSION_SENDER_H_
