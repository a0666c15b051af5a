// Keeps one session with the coordinator open: hello, welcome, messages down, and again after a pause when it ends, on
// a new connection. The pause grows with failures (backoff.h), within what the coordinator asked for.
//
// Threads: Run belongs to one thread and returns when `stop` is requested or when coming back makes no sense.
#ifndef TRIBUTARY_CLIENT_SESSION_SESSION_LOOP_H_
#define TRIBUTARY_CLIENT_SESSION_SESSION_LOOP_H_

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "client/session/backoff.h"
#include "client/session/client_ledger.h"
#include "client/session/coordinator_link.h"
#include "client/session/data_holder.h"
#include "client/session/session_sender.h"
#include "client/session/task_board.h"
#include "client/session/task_intake.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/enrolment_client.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::session {

// The certificate's renewal, seen from the session.
class Renewal {
 public:
  virtual ~Renewal() = default;
  // Cheap; asked at every heartbeat. `idle`: nothing is held, so a change of key disturbs nothing.
  virtual bool Wanted(bool idle) = 0;
  // Renews if due. True: there is a new certificate. UNAUTHENTICATED, PERMISSION_DENIED: the identity is gone.
  virtual absl::StatusOr<bool> Renew() = 0;
};

// The authorities that this client trusts, seen from the session. On the session's thread.
class Authorities {
 public:
  virtual ~Authorities() = default;
  virtual std::vector<std::string> Trusted() = 0;  // digests, for hello
  // What the coordinator says of them. True: another list is trusted from now on, also by new connections.
  virtual bool Take(const v1::AuthorityList& list) = 0;
  // Empty, or why the coordinator may not take this client's certificate any more: explains a session that fails.
  virtual std::string Fault() = 0;
};

class SessionLoop {
 public:
  // Borrowed; must outlive this.
  struct Parts {
    CoordinatorLink* link = nullptr;
    TaskBoard* board = nullptr;
    TaskIntake* intake = nullptr;
    ClientLedger* ledger = nullptr;
    const Clock* clock = nullptr;
    Renewal* renewal = nullptr;  // may be null, as the next
    Authorities* authorities = nullptr;
    // For hello, asked before each.
    std::function<absl::StatusOr<v1::DatasetFacts>()> facts;
    // Empty, or what is wrong with this machine's clock, judged by its certificate: it explains why no session opens.
    std::function<std::string()> clock_fault;
    std::string version, engine;
    // What a welcome must say, as the certificate's owner knows it from joining; an empty id: anything.
    rpc::LocalIdentity identity;
    absl::Duration welcome_timeout = absl::Seconds(30);  // after which a silent coordinator is given up
    uint64_t jitter_seed = 1;
    Backoff::Range reconnect;                         // until a welcome says otherwise
    std::function<void(const v1::Welcome&)> on_open;  // a session is open; may be empty
  };
  explicit SessionLoop(Parts parts);

  // OK: `stop` was requested.
  // PERMISSION_DENIED, UNAUTHENTICATED  this identity is revoked or unknown
  // ABORTED              another process uses this identity: a newer session took over for the second time in a few
  //                      minutes. Once may be our own, that a bad line brought to the coordinator late.
  // FAILED_PRECONDITION  versions too far apart, or the coordinator takes this client for another
  // INTERNAL, UNKNOWN, DATA_LOSS...  the client's own ledger failed; without room on its disk it comes back instead
  absl::Status Run(std::stop_token stop);
  // Ends the session that is open, if one is, for another with a new hello at once: the facts are others now. From any
  // thread.
  void Reannounce() TRB_EXCLUDES(mu_);

 private:
  // Reached by Reannounce while it lives.
  class CurrentSession;
  // How one session ended: `status` as the coordinator says, or an error of our own disk in `fatal`.
  struct End {
    absl::Status status;
    absl::Status fatal;
    bool opened = false;  // a welcome came
    bool ours = false;    // ended by us, for a new certificate or a new hello
    absl::Duration pace = absl::ZeroDuration();
  };
  End RunOnce(std::stop_token stop);
  absl::StatusOr<v1::Welcome> SayHello(CoordinatorLink::Session* session, const v1::ClientMessage& hello);
  absl::Status CheckWelcome(const v1::Welcome& welcome) const;
  absl::StatusOr<v1::ClientMessage> MakeHello(const v1::DatasetFacts& facts);
  void ReadAll(CoordinatorLink::Session* session, SessionSender* sender, End* end);
  absl::Status Handle(const v1::CoordinatorMessage& message, SessionSender* sender, End* end);
  absl::Status HandleTask(const v1::TrainTask& task, SessionSender* sender);
  absl::Status RenewNow();
  // Whether coming back makes no sense: then why, for people.
  absl::Status Final(const absl::Status& status);
  bool ClocksDisagree(const absl::Status& status) const;
  void Reconnect();
  void Lost(const End& end, std::stop_token stop);
  void TakeAuthorities(const v1::AuthorityList& list, SessionSender* sender);
  void SayWhyPerhaps() const;
  void Pause(absl::Duration d, std::stop_token stop);

  const Parts parts_;
  Backoff backoff_;
  absl::Duration overtaken_at_ = -absl::InfiniteDuration();  // the last time that a newer session took over
  Mutex mu_;
  CondVar changed_;
  CoordinatorLink::Session* current_ TRB_GUARDED_BY(mu_) = nullptr;
  bool reannounce_ TRB_GUARDED_BY(mu_) = false;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_SESSION_LOOP_H_
