#include "client/session/session_loop.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/logging.h"
#include "common/crypto/digest.h"
#include "common/wire/check.h"

namespace tributary::session {
namespace {

constexpr uint32_t kProtocolVersion = 1;
constexpr size_t kMostHeads = 256;
constexpr uint64_t kLongestMs = 3'600'000;  // what a peer may ask us to wait

absl::Duration Millis(uint64_t ms) { return absl::Milliseconds(static_cast<int64_t>(std::min(ms, kLongestMs))); }

bool ComingBackMakesNoSense(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return true;
    default:
      return false;
  }
}

// What does not fit its rules ends the session, not this program: the next one may be better. A task is declined by
// name (TaskIntake) instead.
absl::Status CheckMessage(const v1::CoordinatorMessage& message) {
  const absl::Status good = message.has_task() ? absl::OkStatus() : wire::Check(message);
  return good.ok() ? good
                   : absl::UnavailableError(absl::StrCat("the coordinator sent what it may not: ", good.message()));
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

}  // namespace

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
    TRB_RETURN_IF_ERROR(end.fatal);
    if (end.for_renewal) continue;
    if (ComingBackMakesNoSense(end.status)) return Explain(end.status);
    if (end.opened) backoff_.Reset();
    const absl::Duration pause = std::max(backoff_.Next(), end.pace);
    Log(LogLevel::kWarning, "session_lost",
        {{"why", end.status.ToString()}, {"retry_in_ms", absl::ToInt64Milliseconds(pause)}});
    Pause(pause, stop);
  }
  return absl::OkStatus();
}

// A failed renewal is tried again later: the certificate in use is still good, or the session says that it is not.
absl::Status SessionLoop::RenewNow() {
  if (parts_.renewal == nullptr) return absl::OkStatus();
  const absl::StatusOr<bool> renewed = parts_.renewal->Renew();
  if (absl::IsPermissionDenied(renewed.status()) || absl::IsUnauthenticated(renewed.status()))
    return Explain(renewed.status());
  if (!renewed.ok()) {
    Log(LogLevel::kWarning, "renewal_failed", {{"why", renewed.status().ToString()}});
    return absl::OkStatus();
  }
  if (!*renewed) return absl::OkStatus();
  Log(LogLevel::kInfo, "certificate_renewed");
  return parts_.link->Reconnect();
}

SessionLoop::End SessionLoop::RunOnce(std::stop_token stop) {
  End end;
  absl::StatusOr<std::unique_ptr<CoordinatorLink::Session>> opened = parts_.link->OpenSession();
  end.status = opened.status();
  if (!opened.ok()) return end;
  const std::unique_ptr<CoordinatorLink::Session> session = *std::move(opened);
  const std::stop_callback cancel(stop, [&session] { session->Cancel(); });
  const absl::StatusOr<v1::Welcome> welcome = SayHello(session.get());
  end.status = welcome.status();
  if (!welcome.ok()) return end;
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
  if (end.fatal.ok()) ReadAll(session.get(), sender.get(), &end);
  parts_.board->Offline();
  session->Cancel();
  sender->End();
  end.for_renewal = for_renewal;
  return end;
}

absl::StatusOr<v1::ClientMessage> SessionLoop::MakeHello() {
  v1::ClientMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol_version(kProtocolVersion);
  hello.set_version(parts_.version);
  hello.set_engine(parts_.engine);
  *hello.mutable_dataset() = parts_.facts;
  for (v1::HeldTask& held : parts_.board->Held()) *hello.add_held() = std::move(held);
  TRB_ASSIGN_OR_RETURN(const std::vector<RunMemory> runs, parts_.ledger->Runs(kMostHeads));
  for (const RunMemory& run : runs) {
    v1::RunHead& head = *hello.add_heads();
    head.set_run_id(run.run_id);
    head.set_round(run.round);
    head.set_previous_record_sha256(run.previous_record_sha256);
  }
  const std::string facts = parts_.facts.SerializeAsString();
  SentRow sent;
  sent.kind = "dataset_facts";
  sent.detail = DescribeFacts(parts_.facts);
  sent.bytes = facts.size();
  sent.sha256 = crypto::Sha256Hex(facts);
  sent.outcome = "sent";
  sent.last_unix_ms = parts_.clock->NowUnixMillis();
  TRB_RETURN_IF_ERROR(parts_.ledger->RecordSent(sent));
  return message;
}

absl::StatusOr<v1::Welcome> SessionLoop::SayHello(CoordinatorLink::Session* session) {
  TRB_ASSIGN_OR_RETURN(const v1::ClientMessage hello, MakeHello());
  // A failed write has its reason in Read.
  session->Write(hello);
  TRB_ASSIGN_OR_RETURN(const v1::CoordinatorMessage first, session->Read());
  TRB_RETURN_IF_ERROR(CheckMessage(first));
  if (!first.has_welcome()) return absl::UnavailableError("the coordinator did not begin with a welcome");
  return first.welcome();
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
    default:
      return absl::OkStatus();  // a second welcome, or a kind of a later version
  }
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
  sender->Push(std::move(message));
  if (decision.accepted) return parts_.board->Accepted(task, decision.is_new);
  return parts_.board->Declined(task.task_id());
}

void SessionLoop::Pause(absl::Duration d, std::stop_token stop) {
  const MutexLock lock(&mu_);
  const absl::Duration until = parts_.clock->Monotonic() + d;
  while (!stop.stop_requested() && parts_.clock->Monotonic() < until) parts_.clock->WaitUntil(&mu_, &changed_, until);
}

}  // namespace tributary::session
