#include "client/session/session_loop.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/error_report.h"
#include "common/base/fail_point.h"
#include "common/base/logging.h"
#include "common/crypto/digest.h"
#include "common/wire/check.h"

namespace tributary::session {
namespace {

constexpr uint32_t kProtocolVersion = 1;
constexpr size_t kMostHeads = 256;
constexpr uint64_t kLongestMs = 3'600'000;  // what a peer may ask us to wait

absl::Duration Millis(uint64_t ms) { return absl::Milliseconds(static_cast<int64_t>(std::min(ms, kLongestMs))); }

// Two copies of one client take the session from each other every few seconds.
constexpr absl::Duration kCopiesMeetWithin = absl::Minutes(5);

// What does not fit its rules ends the session, not this program: the next one may be better. A task is declined by
// name (TaskIntake) instead.
absl::Status CheckMessage(const v1::CoordinatorMessage& message) {
  const absl::Status good = message.has_task() ? absl::OkStatus() : wire::Check(message);
  return good.ok() ? good
                   : absl::UnavailableError(absl::StrCat("the coordinator sent what it may not: ", good.message()));
}

// What failed on this machine is no refusal of the coordinator's, whatever its code: to be tried again.
absl::Status Ours(const absl::Status& status) {
  return status.ok() || absl::IsUnavailable(status) ? status : absl::UnavailableError(status.message());
}

absl::Status Explain(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kAborted:
      return WithFix(Annotate(status, "another process opened a newer session as this client"),
                     "run one copy of this client only; a restored or cloned directory is a copy too");
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return WithFix(Annotate(status, "the coordinator no longer accepts this client"),
                     "ask the operator; a new invitation (`tributary client invite NAME --replace`) brings it back");
    case absl::StatusCode::kFailedPrecondition:
      return WithFix(Annotate(status, "the coordinator speaks another version"), "install a version that fits it");
    default:
      return status;
  }
}

// Cancels a session that has not come to its point in time. A coordinator that answers pings and nothing else would be
// waited for without end.
class SessionDeadline {
 public:
  SessionDeadline(CoordinatorLink::Session* session, const Clock* clock, absl::Duration timeout)
      : clock_(*clock), deadline_(clock->Monotonic() + timeout), thread_([this, session] { Wait(session); }) {}
  ~SessionDeadline() {
    {
      const MutexLock lock(&mu_);
      met_ = true;
    }
    changed_.NotifyAll();
    thread_.join();
  }

 private:
  void Wait(CoordinatorLink::Session* session) TRB_EXCLUDES(mu_) {
    {
      const MutexLock lock(&mu_);
      while (!met_ && clock_.Monotonic() < deadline_) clock_.WaitUntil(&mu_, &changed_, deadline_);
      if (met_) return;
    }
    session->Cancel();
  }

  const Clock& clock_;
  const absl::Duration deadline_;
  Mutex mu_;
  CondVar changed_;
  bool met_ TRB_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace

class SessionLoop::CurrentSession {
 public:
  CurrentSession(SessionLoop* loop, CoordinatorLink::Session* session) : loop_(*loop) {
    const MutexLock lock(&loop_.mu_);
    loop_.current_ = session;
    loop_.reannounce_ = false;
  }
  ~CurrentSession() {
    const MutexLock lock(&loop_.mu_);
    loop_.current_ = nullptr;
  }
  bool EndedByReannounce() {
    const MutexLock lock(&loop_.mu_);
    return loop_.reannounce_;
  }

 private:
  SessionLoop& loop_;
};

SessionLoop::SessionLoop(Parts parts) : parts_(std::move(parts)), backoff_(parts_.reconnect, parts_.jitter_seed) {}

absl::Status SessionLoop::Run(std::stop_token stop) {
  const std::stop_callback wake(stop, [this] {
    const MutexLock lock(&mu_);
    changed_.NotifyAll();
  });
  while (!stop.stop_requested()) {
    TRB_RETURN_IF_ERROR(RenewNow());
    const End end = RunOnce(stop);
    if (stop.stop_requested()) break;
    const bool no_room = absl::IsResourceExhausted(end.fatal);
    if (!no_room) TRB_RETURN_IF_ERROR(end.fatal);
    if (end.ours) continue;
    if (!no_room) TRB_RETURN_IF_ERROR(Final(end.status));
    Lost(end, stop);
  }
  return absl::OkStatus();
}

absl::Status SessionLoop::Final(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
      return ClocksDisagree(status) ? absl::OkStatus() : Explain(status);
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kFailedPrecondition:
      return Explain(status);
    case absl::StatusCode::kAborted: {
      const absl::Duration before = std::exchange(overtaken_at_, parts_.clock->Monotonic());
      return overtaken_at_ - before <= kCopiesMeetWithin ? Explain(status) : absl::OkStatus();
    }
    default:
      return absl::OkStatus();
  }
}

// Out of date for the coordinator, not for this machine: one of the two clocks is wrong, and will be set some time.
bool SessionLoop::ClocksDisagree(const absl::Status& status) const {
  const bool out_of_date =
      absl::StrContains(status.message(), "has expired") || absl::StrContains(status.message(), "is not valid before");
  if (!out_of_date || !parts_.clock_fault || !parts_.clock_fault().empty()) return false;
  Log(LogLevel::kError, "clocks_disagree",
      {{"coordinator", status.message()},
       {"this_machine", absl::FormatTime(absl::RFC3339_sec, parts_.clock->Now(), absl::UTCTimeZone())}});
  return true;
}

// On a new connection: one that is broken, or backs off by itself, is not waited for nor left to itself in the pause,
// and a coordinator that has moved is found at its new address.
void SessionLoop::Lost(const End& end, std::stop_token stop) {
  const bool no_room = absl::IsResourceExhausted(end.fatal);
  if (end.opened && !no_room) backoff_.Reset();
  const absl::Duration pause = std::max(backoff_.Next(), end.pace);
  Log(LogLevel::kWarning, no_room ? "no_room" : "session_lost",
      {{"why", (no_room ? end.fatal : end.status).ToString()}, {"retry_in_ms", absl::ToInt64Milliseconds(pause)}});
  SayWhyPerhaps();
  Reconnect();
  Pause(pause, stop);
}

// A link that could not be renewed is tried as it is, and says then what is wrong.
void SessionLoop::Reconnect() {
  if (const absl::Status renewed = parts_.link->Reconnect(); !renewed.ok())
    Log(LogLevel::kWarning, "reconnect_failed", {{"why", renewed.ToString()}});
}

void SessionLoop::SayWhyPerhaps() const {
  if (const std::string fault = parts_.clock_fault ? parts_.clock_fault() : ""; !fault.empty())
    Log(LogLevel::kError, "clock_is_wrong", {{"why", fault}});
  if (const std::string fault = parts_.authorities != nullptr ? parts_.authorities->Fault() : ""; !fault.empty())
    Log(LogLevel::kWarning, "certificate_is_old", {{"why", fault}});
}

void SessionLoop::Reannounce() {
  const MutexLock lock(&mu_);
  if (current_ == nullptr) return;  // the next hello says it
  reannounce_ = true;
  current_->Cancel();
}

// A failed renewal is tried again later: the certificate in use is still good, or the session says that it is not.
absl::Status SessionLoop::RenewNow() {
  if (parts_.renewal == nullptr) return absl::OkStatus();
  const absl::StatusOr<bool> renewed = parts_.renewal->Renew();
  const bool refused = absl::IsPermissionDenied(renewed.status()) ||
                       (absl::IsUnauthenticated(renewed.status()) && !ClocksDisagree(renewed.status()));
  if (refused) return Explain(renewed.status());
  if (!renewed.ok()) {
    Log(LogLevel::kWarning, "renewal_failed", {{"why", renewed.status().ToString()}});
    SayWhyPerhaps();
    return absl::OkStatus();
  }
  if (!*renewed) return absl::OkStatus();
  Log(LogLevel::kInfo, "certificate_renewed");
  Reconnect();
  return absl::OkStatus();
}

SessionLoop::End SessionLoop::RunOnce(std::stop_token stop) {
  End end;
  const absl::StatusOr<v1::DatasetFacts> facts = parts_.facts();
  end.status = Ours(facts.status());  // the data cannot be read now: later, perhaps
  if (!facts.ok()) return end;
  const absl::StatusOr<v1::ClientMessage> hello = MakeHello(*facts);
  end.fatal = hello.status();
  if (!hello.ok()) return end;
  absl::StatusOr<std::unique_ptr<CoordinatorLink::Session>> opened = parts_.link->OpenSession();
  end.status = opened.status();
  if (!opened.ok()) return end;
  const std::unique_ptr<CoordinatorLink::Session> session = *std::move(opened);
  CurrentSession current(this, session.get());
  const std::stop_callback cancel(stop, [&session] { session->Cancel(); });
  const absl::StatusOr<v1::Welcome> welcome = SayHello(session.get(), *hello);
  end.status = welcome.status();
  end.ours = current.EndedByReannounce();
  if (!welcome.ok()) return end;
  end.fatal = CheckWelcome(*welcome);
  if (!end.fatal.ok()) return end;
  end.opened = true;
  backoff_.SetRange({Millis(welcome->reconnect_min_ms()), Millis(welcome->reconnect_max_ms())});
  std::atomic<bool> for_renewal{false};
  // Shared: the trainer may be about to send when the session ends, and would use a sender that is gone.
  const auto sender =
      std::make_shared<SessionSender>(session.get(), parts_.clock, Millis(welcome->heartbeat_interval_ms()), [&] {
        if (parts_.renewal == nullptr || !parts_.renewal->Wanted(parts_.board->Idle())) return;
        for_renewal = true;
        session->Cancel();
      });
  end.fatal = parts_.board->Online(*welcome, [sender](v1::ClientMessage m) { sender->Push(std::move(m)); });
  if (parts_.on_open) parts_.on_open(*welcome);
  if (welcome->has_authorities()) TakeAuthorities(welcome->authorities(), sender.get());
  if (end.fatal.ok()) ReadAll(session.get(), sender.get(), &end);
  parts_.board->Offline();
  session->Cancel();
  sender->End();
  end.ours = for_renewal || current.EndedByReannounce();
  return end;
}

absl::StatusOr<v1::ClientMessage> SessionLoop::MakeHello(const v1::DatasetFacts& facts) {
  v1::ClientMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol_version(kProtocolVersion);
  hello.set_version(parts_.version);
  hello.set_engine(parts_.engine);
  *hello.mutable_dataset() = facts;
  for (v1::HeldTask& held : parts_.board->Held()) *hello.add_held() = std::move(held);
  if (parts_.authorities != nullptr)
    for (const std::string& sha256 : parts_.authorities->Trusted()) hello.add_trusted_authorities(sha256);
  TRB_ASSIGN_OR_RETURN(const std::vector<RunMemory> runs, parts_.ledger->Runs(kMostHeads));
  for (const RunMemory& run : runs) {
    v1::RunHead& head = *hello.add_heads();
    head.set_run_id(run.run_id);
    head.set_round(run.round);
    head.set_previous_record_sha256(run.previous_record_sha256);
  }
  const std::string sent_facts = facts.SerializeAsString();
  SentRow sent;
  sent.kind = "dataset_facts";
  sent.detail = DescribeFacts(facts);
  sent.bytes = sent_facts.size();
  sent.sha256 = crypto::Sha256Hex(sent_facts);
  sent.outcome = "sent";
  sent.last_unix_ms = parts_.clock->NowUnixMillis();
  TRB_RETURN_IF_ERROR(parts_.ledger->RecordSent(sent));
  return message;
}

absl::StatusOr<v1::Welcome> SessionLoop::SayHello(CoordinatorLink::Session* session, const v1::ClientMessage& hello) {
  absl::StatusOr<v1::CoordinatorMessage> read;
  {
    const SessionDeadline deadline(session, parts_.clock, parts_.welcome_timeout);
    session->Write(hello);  // a failed write has its reason in Read
    read = session->Read();
  }
  if (absl::IsCancelled(read.status()))
    return absl::UnavailableError("the coordinator did not welcome this client in time");
  TRB_ASSIGN_OR_RETURN(const v1::CoordinatorMessage first, std::move(read));
  TRB_RETURN_IF_ERROR(CheckMessage(first));
  if (!first.has_welcome()) return absl::UnavailableError("the coordinator did not begin with a welcome");
  return first.welcome();
}

// The certificate is the one thing that counts for the coordinator; what this directory says of it must be the same, or
// the owner would read wrong names and the signatures of updates would not fit.
absl::Status SessionLoop::CheckWelcome(const v1::Welcome& welcome) const {
  const rpc::LocalIdentity& own = parts_.identity;
  if (own.id.empty() ||
      (welcome.client_id() == own.id && welcome.name() == own.name && welcome.federation() == own.federation))
    return absl::OkStatus();
  return WithFix(
      absl::FailedPreconditionError(absl::StrCat("the coordinator takes this client for ", EscapeForLog(welcome.name()),
                                                 " (", EscapeForLog(welcome.client_id()), ") of federation ",
                                                 EscapeForLog(welcome.federation()), ", but it joined as ", own.name,
                                                 " (", own.id, ") of ", own.federation)),
      "identity.json and the certificate in pki/ do not belong together: restore this directory, or join anew");
}

void SessionLoop::ReadAll(CoordinatorLink::Session* session, SessionSender* sender, End* end) {
  for (;;) {
    const absl::StatusOr<v1::CoordinatorMessage> message = session->Read();
    end->status = message.ok() ? CheckMessage(*message) : message.status();
    if (!end->status.ok()) return;
    end->fatal = Handle(*message, sender, end);
    if (!end->fatal.ok()) return;
  }
}

absl::Status SessionLoop::Handle(const v1::CoordinatorMessage& message, SessionSender* sender, End* end) {
  switch (message.kind_case()) {
    case v1::CoordinatorMessage::kTask:
      return HandleTask(message.task(), sender);
    case v1::CoordinatorMessage::kCancel:
      return parts_.board->Cancelled(message.cancel());
    case v1::CoordinatorMessage::kPace:
      end->pace = Millis(message.pace().retry_after_ms());
      return absl::OkStatus();
    case v1::CoordinatorMessage::kAuthorities:
      TakeAuthorities(message.authorities(), sender);
      return absl::OkStatus();
    default:
      return absl::OkStatus();  // a second welcome, or a kind of a later version
  }
}

// The session goes on; calls from here on open a connection that goes by the new list.
void SessionLoop::TakeAuthorities(const v1::AuthorityList& list, SessionSender* sender) {
  if (parts_.authorities == nullptr || !parts_.authorities->Take(list)) return;
  Reconnect();
  v1::ClientMessage message;
  for (const std::string& sha256 : parts_.authorities->Trusted()) message.mutable_trust()->add_authorities(sha256);
  sender->Push(std::move(message));
}

absl::Status SessionLoop::HandleTask(const v1::TrainTask& task, SessionSender* sender) {
  TRB_ASSIGN_OR_RETURN(const TaskIntake::Decision decision, parts_.intake->Decide(task));
  Log(decision.accepted ? LogLevel::kInfo : LogLevel::kWarning, decision.accepted ? "task_accepted" : "task_declined",
      {{"run", task.run_id()},
       {"round", task.round()},
       {"task", task.task_id()},
       {"code", decision.refusal.code},
       {"reason", decision.refusal.reason}});
  v1::ClientMessage message;
  v1::TaskAnswer& answer = *message.mutable_answer();
  answer.set_task_id(task.task_id());
  answer.set_accepted(decision.accepted);
  answer.set_code(decision.refusal.code);
  answer.set_reason(decision.refusal.reason);
  TRB_FAIL_POINT("task.answer");
  sender->Push(std::move(message));
  if (decision.accepted) return parts_.board->Accepted(task);
  return parts_.board->Declined(task.task_id());
}

void SessionLoop::Pause(absl::Duration d, std::stop_token stop) {
  const MutexLock lock(&mu_);
  const absl::Duration until = parts_.clock->Monotonic() + d;
  while (!stop.stop_requested() && parts_.clock->Monotonic() < until) parts_.clock->WaitUntil(&mu_, &changed_, until);
}

}  // namespace tributary::session
