// The live sessions, one a client: the newest wins. It is the rounds' Dispatcher.
//
// Threads: every method is safe from any thread and never waits on the network. Sinks are called without the registry's
// lock held; they must not block. Candidates() asks the identities (SQLite).
// Ownership: sinks are shared with the sessions behind them; `clock` is borrowed and outlives the registry.
#ifndef TRIBUTARY_SERVER_SERVICE_SESSION_REGISTRY_H_
#define TRIBUTARY_SERVER_SERVICE_SESSION_REGISTRY_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "server/rounds/dispatcher.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::service {

// The way down to one client.
class SessionSink {
 public:
  virtual ~SessionSink() = default;
  // Queues it; a session whose queue is full ends instead.
  virtual void Send(v1::CoordinatorMessage message) = 0;
  // Ends the stream with this status: at once, or after what is queued has gone out.
  virtual void End(const absl::Status& status, bool flush) = 0;
  // Cuts the connection of a peer that does not even take the end.
  virtual void Cancel() = 0;
  // Something that the peer said waits for us: until it is handled the peer is not silent, and its beats are not read.
  // Takes no lock.
  virtual bool IsBusy() const = 0;
};

// How often a new session is asked to beat when there may be `sessions`: `base` up to a thousand, from there on less
// often, so that all together beat at the same rate, but at least every 3.6 * base. A peer whose connection is dead is
// noticed by keepalive (common/rpc/limits.h) however seldom it beats.
absl::Duration HeartbeatInterval(absl::Duration base, uint64_t sessions);

class SessionRegistry : public rounds::Dispatcher {
 public:
  // All enrolled and active clients, `online` unset.
  using Enrolled = std::function<absl::StatusOr<std::vector<rounds::Candidate>>()>;

  SessionRegistry(Enrolled enrolled, const Clock* clock) : enrolled_(std::move(enrolled)), clock_(*clock) {}

  // A stream was let in that has not said hello yet. Of one client two may wait: the oldest ends (ABORTED) for a third.
  void Expect(const std::string& client_id, std::shared_ptr<SessionSink> sink) TRB_EXCLUDES(mu_);
  // It ended before its hello, or is not let in after all. Unknown ones are fine.
  void Forget(const SessionSink* sink) TRB_EXCLUDES(mu_);
  // Makes this session the client's; an older one ends with ABORTED. It ends when it is not heard from for `silence`.
  // Returns what names it from here on.
  uint64_t Open(const std::string& client_id, const v1::Hello& hello, absl::Duration silence,
                std::shared_ptr<SessionSink> sink) TRB_EXCLUDES(mu_);
  // True when it was still the client's newest session: the client is offline now.
  bool Close(const std::string& client_id, uint64_t session) TRB_EXCLUDES(mu_);
  // The client was heard from.
  void Touch(const std::string& client_id, uint64_t session) TRB_EXCLUDES(mu_);
  // The client answered: when it took the task, it remembers from now on the history that came with it.
  void TaskAnswered(const std::string& client_id, const std::string& task_id, bool taken) TRB_EXCLUDES(mu_);
  // Ends (UNAVAILABLE) the sessions not heard from for their silence, and those without a hello for `newcomers`; cuts
  // those that are still there one second later, and those that a newer session of their client has replaced.
  void EndSilent(absl::Duration newcomers) TRB_EXCLUDES(mu_);
  // Sends the pace to all, then ends them (UNAVAILABLE) once it is out.
  void EndAll(const v1::Pace& pace) TRB_EXCLUDES(mu_);
  // To all that have said hello.
  void SendAll(const v1::CoordinatorMessage& message) TRB_EXCLUDES(mu_);
  bool IsOnline(const std::string& client_id) TRB_EXCLUDES(mu_);
  // How often the next session shall beat. All enrolled clients count: after a restart they come back one by one.
  absl::Duration Heartbeat(absl::Duration base) TRB_EXCLUDES(mu_);
  // Counts the enrolled, once before the first session: who enrols later is counted when it is there. Asks the
  // identities.
  absl::Status CountEnrolled();
  uint64_t Count() TRB_EXCLUDES(mu_);

  absl::StatusOr<std::vector<rounds::Candidate>> Candidates() override;
  bool PushTask(const std::string& client_id, const v1::TrainTask& task) override TRB_EXCLUDES(mu_);
  void PushCancel(const std::string& client_id, const v1::CancelTask& cancel) override TRB_EXCLUDES(mu_);
  v1::RunHead KnownHead(const std::string& client_id, const std::string& run_id) override TRB_EXCLUDES(mu_);

 private:
  std::vector<std::shared_ptr<SessionSink>> AllSinks() TRB_EXCLUDES(mu_);
  // A task on its way, and the head that it carries.
  struct Pushed {
    std::string task_id;
    v1::RunHead head;
  };
  struct Entry {
    uint64_t session = 0;
    std::shared_ptr<SessionSink> sink;
    absl::Duration last_heard, silence;
    std::map<std::string, v1::RunHead> heads;  // by run
    std::deque<Pushed> pushed;                 // not answered yet, newest last
  };
  struct Newcomer {
    std::string client_id;
    std::shared_ptr<SessionSink> sink;
    absl::Duration since;
  };
  static void Remember(const v1::TrainTask& task, std::deque<Pushed>* pushed);
  std::shared_ptr<SessionSink> SinkOf(const std::string& client_id) TRB_EXCLUDES(mu_);

  const Enrolled enrolled_;
  const Clock& clock_;
  std::atomic<uint64_t> enrolled_count_{0};
  Mutex mu_;
  uint64_t next_ TRB_GUARDED_BY(mu_) = 1;
  std::map<std::string, Entry> entries_ TRB_GUARDED_BY(mu_);  // by client id
  std::list<Newcomer> newcomers_ TRB_GUARDED_BY(mu_);         // oldest first
  std::list<Newcomer> replaced_ TRB_GUARDED_BY(mu_);          // told to end lately
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_SESSION_REGISTRY_H_
