#include "server/rounds/run_manager.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/fail_point.h"
#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/update/update_codec.h"
#include "server/rounds/run_controller.h"
#include "server/rounds/run_spec.h"
#include "server/rounds/run_start.h"
#include "server/rounds/task_push.h"
#include "server/rounds/task_verdict.h"

namespace tributary::rounds {
namespace {

constexpr size_t kMaxReason = 500;  // bytes of a client's words that are kept

using ControllerPtr = std::shared_ptr<RunController>;

// A client's word as it goes into the ledger: one line, printable, bounded.
std::string ClientWords(const std::string& code, const std::string& reason) {
  const std::string first = code.empty() ? "declined" : EscapeForLog(code, 32);
  return absl::StrCat(first, ": ", EscapeForLog(reason, kMaxReason));
}

class Manager final : public RunManager {
 public:
  explicit Manager(Options options)
      : options_(std::move(options)), push_(options_.store, options_.dispatcher, options_.clock) {}
  ~Manager() override { Shutdown(); }

  absl::Status Resume() override;
  void Shutdown() override;
  absl::StatusOr<std::string> StartRun(const v1::StartRunRequest& request, const Actor& actor) override;
  absl::Status StopRun(const std::string& run, const Actor& actor) override;
  absl::StatusOr<uint64_t> Watch(const std::string& run, std::function<bool(const v1::RunEvent&)> on_event) override;
  void Unwatch(uint64_t token) override;
  std::vector<v1::TaskVerdict> ClientOnline(const std::string& client_id, const v1::Hello& hello) override;
  void ClientOffline(const std::string& client_id) override;
  void ClientRevoked(const std::string& client_id, const std::string& reason) override;
  void TaskAnswered(const std::string& client_id, const v1::TaskAnswer& answer) override;
  void TaskProgressed(const std::string& client_id, const v1::TaskProgress& progress) override;
  absl::StatusOr<TaskTerms> GetTask(const std::string& client_id, const std::string& task_id) override;
  absl::StatusOr<AcceptResult> Accept(const Acceptance& acceptance) override;
  void Refuse(const std::string& client_id, const std::string& task_id, const v1::Rejected& why,
              uint64_t bytes) override;
  void CountBytesDown(const std::string& client_id, const std::string& task_id, uint64_t bytes) override;

 private:
  absl::Status Drive(const RunRow& row) TRB_EXCLUDES(mu_);
  absl::Status StartController(const RunRow& row) TRB_EXCLUDES(mu_);
  ControllerPtr Find(const std::string& run) const TRB_EXCLUDES(mu_);
  std::vector<ControllerPtr> All() const TRB_EXCLUDES(mu_);
  void WakeAll() const;
  // Threads of runs that have ended are joined when the next run starts.
  void Reap() TRB_EXCLUDES(mu_);

  // The task, if the store has it and it is this client's. NOT_FOUND, PERMISSION_DENIED.
  absl::StatusOr<RunStore::Task> OwnTask(const std::string& client_id, const std::string& task_id) const;
  absl::StatusOr<uint64_t> DeclaredExamples(const std::string& client_id) TRB_EXCLUDES(mu_);
  void Change(const RunStore::Task& task, const ContributionChange& change) const;
  void PushMissing(const ControllerPtr& controller, const std::string& client_id, const std::set<std::string>& held);
  absl::Status EventOfEndedRun(const RunRow& row, const std::function<bool(const v1::RunEvent&)>& on_event) const;

  const Options options_;  // set once
  const TaskPush push_;

  mutable Mutex mu_;
  bool shut_down_ TRB_GUARDED_BY(mu_) = false;
  std::map<std::string, ControllerPtr> controllers_ TRB_GUARDED_BY(mu_);  // by run
  std::map<std::string, uint64_t> declared_ TRB_GUARDED_BY(mu_);          // examples of the last hello, by client id
  std::map<uint64_t, ControllerPtr> watched_ TRB_GUARDED_BY(mu_);         // by token
  uint64_t next_token_ TRB_GUARDED_BY(mu_) = 1;
};

// ---- life

absl::Status Manager::Resume() {
  TRB_ASSIGN_OR_RETURN(const std::vector<RunRow> active, options_.store->ListRuns(/*active_only=*/true));
  for (const RunRow& row : active) {
    TRB_RETURN_IF_ERROR(StartController(row));
    Log(LogLevel::kInfo, "run_resumed", {{"run", row.run.id()}, {"rounds_done", row.run.rounds_done()}});
  }
  return absl::OkStatus();
}

absl::Status Manager::StartController(const RunRow& row) {
  TRB_ASSIGN_OR_RETURN(std::shared_ptr<const RunSpec> spec, RunSpec::From(row));
  RoundDriver::Environment environment;
  environment.store = options_.store;
  environment.dispatcher = options_.dispatcher;
  environment.blobs = options_.blobs;
  environment.clock = options_.clock;
  environment.federation = options_.federation;
  environment.threads = options_.threads;
  auto controller = std::make_shared<RunController>(environment, std::move(spec));
  MutexLock lock(&mu_);
  if (shut_down_) return absl::UnavailableError("the coordinator is shutting down");
  if (!controllers_.emplace(row.run.id(), controller).second) return absl::OkStatus();  // a retried request
  controller->Start();
  return absl::OkStatus();
}

void Manager::Shutdown() {
  std::map<std::string, ControllerPtr> controllers;
  {
    MutexLock lock(&mu_);
    shut_down_ = true;
    controllers.swap(controllers_);
  }
  for (const auto& [run, controller] : controllers) controller->RequestShutdown();
  for (const auto& [run, controller] : controllers) controller->Join();
}

void Manager::Reap() {
  std::vector<ControllerPtr> finished;
  {
    MutexLock lock(&mu_);
    for (auto it = controllers_.begin(); it != controllers_.end();) {
      const bool done = it->second->finished();
      if (done) finished.push_back(it->second);
      it = done ? controllers_.erase(it) : std::next(it);
    }
  }
  for (const ControllerPtr& controller : finished) controller->Join();
}

ControllerPtr Manager::Find(const std::string& run) const {
  MutexLock lock(&mu_);
  const auto found = controllers_.find(run);
  return found == controllers_.end() ? nullptr : found->second;
}

std::vector<ControllerPtr> Manager::All() const {
  MutexLock lock(&mu_);
  std::vector<ControllerPtr> all;
  for (const auto& [run, controller] : controllers_) all.push_back(controller);
  return all;
}

void Manager::WakeAll() const {
  for (const ControllerPtr& controller : All()) controller->Wake();
}

// ---- operators

absl::StatusOr<std::string> Manager::StartRun(const v1::StartRunRequest& request, const Actor& actor) {
  if (request.request_id().empty() || request.request_id().size() > 64) {
    return absl::InvalidArgumentError("request_id: 1 to 64 characters");
  }
  const RunStart start{*options_.store, *options_.blobs, *options_.clock};
  TRB_ASSIGN_OR_RETURN(const NewRun run, start.Prepare(request, actor));
  if (request.dry_run()) return std::string();
  TRB_ASSIGN_OR_RETURN(const RunRow row, options_.store->CreateRun(run));
  if (const absl::Status driven = Drive(row); !driven.ok()) {
    // In the ledger it is active, and nobody would ever end it. A coordinator that is going down will take it up again.
    if (!absl::IsUnavailable(driven)) {
      TRB_RETURN_IF_ERROR(
          options_.store->SetRunState(row.run.id(), "failed", driven.ToString(), options_.clock->NowUnixMillis()));
    }
    return driven;
  }
  Log(LogLevel::kInfo, "run_started", {{"run", row.run.id()}, {"name", row.run.name()}, {"actor", actor.name}});
  return row.run.id();
}

absl::Status Manager::Drive(const RunRow& row) {
  TRB_FAIL_POINT("run.created");
  Reap();
  return IsActiveRun(row.run) ? StartController(row) : absl::OkStatus();
}

absl::Status Manager::StopRun(const std::string& run, const Actor& actor) {
  TRB_ASSIGN_OR_RETURN(const std::string id, options_.store->ResolveRun(run));
  TRB_ASSIGN_OR_RETURN(const RunRow row, options_.store->GetRun(id));
  if (!IsActiveRun(row.run)) {
    return absl::FailedPreconditionError(absl::StrCat("run ", id, " is ", row.run.state(), " already"));
  }
  const int64_t now = options_.clock->NowUnixMillis();
  TRB_RETURN_IF_ERROR(options_.store->SetRunState(id, "stopped", absl::StrCat("stopped by ", actor.name), now));
  if (const ControllerPtr controller = Find(id); controller != nullptr) controller->RunEnded();
  Log(LogLevel::kInfo, "run_stopped", {{"run", id}, {"actor", actor.name}});
  v1::AuditEntry entry;
  entry.set_time_unix_ms(now);
  entry.set_actor(actor.name);
  entry.set_certificate_sha256(actor.certificate_sha256);
  entry.set_action("run.stop");
  entry.set_subject(id);
  entry.set_outcome("ok");
  return options_.store->AddAudit(entry);
}

absl::StatusOr<uint64_t> Manager::Watch(const std::string& run, std::function<bool(const v1::RunEvent&)> on_event) {
  TRB_ASSIGN_OR_RETURN(const std::string id, options_.store->ResolveRun(run));
  const ControllerPtr controller = Find(id);
  uint64_t token = 0;
  {
    MutexLock lock(&mu_);
    token = next_token_++;
    if (controller != nullptr) watched_[token] = controller;
  }
  if (controller != nullptr && controller->Watch(token, on_event)) return token;
  TRB_ASSIGN_OR_RETURN(const RunRow row, options_.store->GetRun(id));
  TRB_RETURN_IF_ERROR(EventOfEndedRun(row, on_event));
  return token;
}

absl::Status Manager::EventOfEndedRun(const RunRow& row,
                                      const std::function<bool(const v1::RunEvent&)>& on_event) const {
  v1::RunEvent event;
  *event.mutable_run() = row.run;
  TRB_ASSIGN_OR_RETURN(const std::vector<RoundRow> rounds, options_.store->ListRounds(row.run.id()));
  if (!rounds.empty()) {
    *event.mutable_round() = rounds.back().round;
    event.set_contributions_done(rounds.back().round.invited());
  }
  on_event(event);
  return absl::OkStatus();
}

void Manager::Unwatch(uint64_t token) {
  ControllerPtr controller;
  {
    MutexLock lock(&mu_);
    const auto found = watched_.find(token);
    if (found == watched_.end()) return;
    controller = std::move(found->second);
    watched_.erase(found);
  }
  controller->watchers().Remove(token);
}

// ---- sessions

absl::StatusOr<RunStore::Task> Manager::OwnTask(const std::string& client_id, const std::string& task_id) const {
  TRB_ASSIGN_OR_RETURN(RunStore::Task task, options_.store->FindTask(task_id));
  if (task.client_id != client_id) return absl::PermissionDeniedError("this task is another client's");
  return task;
}

std::vector<v1::TaskVerdict> Manager::ClientOnline(const std::string& client_id, const v1::Hello& hello) {
  {
    MutexLock lock(&mu_);
    declared_[client_id] = hello.dataset().examples();
  }
  std::vector<v1::TaskVerdict> verdicts;
  std::set<std::string> held;
  for (const v1::HeldTask& task : hello.held()) {
    absl::StatusOr<RunStore::Task> found = OwnTask(client_id, task.task_id());
    if (!found.ok() && !absl::IsNotFound(found.status()) && !absl::IsPermissionDenied(found.status())) {
      // That it cannot be looked up now is no reason to cancel it: it stays held, and the next hello asks again.
      Log(LogLevel::kError, "held_task_not_judged", {{"task", task.task_id()}, {"why", found.status().ToString()}});
      continue;
    }
    std::optional<RunStore::Task> own;
    if (found.ok()) own = *std::move(found);
    verdicts.push_back(JudgeHeldTask(task, own));
    if (verdicts.back().action() != v1::TaskVerdict::RESEND) held.insert(task.task_id());
  }
  for (const ControllerPtr& controller : All()) {
    PushMissing(controller, client_id, held);
    controller->Wake();
  }
  return verdicts;
}

void Manager::PushMissing(const ControllerPtr& controller, const std::string& client_id,
                          const std::set<std::string>& held) {
  const std::shared_ptr<const OpenTraining> training = controller->board().training();
  if (training == nullptr) return;
  const auto invited = training->invited.find(client_id);
  if (invited == training->invited.end() || held.count(invited->second.task_id) != 0) return;
  const absl::StatusOr<RunStore::Task> task = OwnTask(client_id, invited->second.task_id);
  if (!task.ok() || !IsOpenTask(*task)) return;
  TaskPush::LinkCache cache;
  const absl::StatusOr<bool> pushed = push_.Push(controller->spec(), *training, invited->second, &cache);
  if (!pushed.ok()) {
    Log(LogLevel::kError, "task_not_pushed",
        {{"run", task->run},
         {"round", task->round},
         {"client", task->client_name},
         {"error", pushed.status().ToString()}});
    return;
  }
  // The round may have closed in between: then its cancel went out ahead of the task.
  const absl::StatusOr<RunStore::Task> now = OwnTask(client_id, invited->second.task_id);
  if (now.ok() && !IsOpenTask(*now))
    push_.Cancel(client_id, invited->second.task_id, "not_needed", "its round is over");
}

void Manager::ClientOffline(const std::string&) { WakeAll(); }

void Manager::ClientRevoked(const std::string& client_id, const std::string& reason) {
  for (const ControllerPtr& controller : All()) {
    const std::shared_ptr<const OpenTraining> training = controller->board().training();
    if (training != nullptr) {
      if (const auto invited = training->invited.find(client_id); invited != training->invited.end()) {
        ContributionChange change;
        change.state = "dropped";
        change.reason = absl::StrCat("revoked: ", reason);
        RunStore::Task task;
        task.run = controller->spec().id;
        task.round = training->round;
        task.client_id = client_id;
        task.client_name = invited->second.name;
        Change(task, change);
        push_.Cancel(client_id, invited->second.task_id, "revoked", reason);
      }
    }
    controller->Wake();
  }
}

void Manager::Change(const RunStore::Task& task, const ContributionChange& change) const {
  const absl::Status changed =
      options_.store->ChangeContribution(task.run, task.round, task.client_id, change, options_.clock->NowUnixMillis());
  if (changed.ok()) return;
  Log(LogLevel::kError, "contribution_not_changed",
      {{"run", task.run}, {"round", task.round}, {"client", task.client_name}, {"error", changed.ToString()}});
}

void Manager::TaskAnswered(const std::string& client_id, const v1::TaskAnswer& answer) {
  const absl::StatusOr<RunStore::Task> task = OwnTask(client_id, answer.task_id());
  if (!task.ok()) return;
  ContributionChange change;
  if (answer.accepted()) {
    if (task->contribution_state != "invited") return;  // a repeated answer moves nothing back
    change.state = "accepted_task";
  } else {
    change.state = "declined";
    change.reason = ClientWords(answer.code(), answer.reason());
    Log(LogLevel::kInfo, "task_declined",
        {{"run", task->run}, {"round", task->round}, {"client", task->client_name}, {"reason", *change.reason}});
  }
  Change(*task, change);
  const ControllerPtr controller = Find(task->run);
  if (controller == nullptr) return;
  if (!answer.accepted()) controller->board().ForgetProgress(client_id);
  controller->Wake();
}

void Manager::TaskProgressed(const std::string& client_id, const v1::TaskProgress& progress) {
  for (const ControllerPtr& controller : All()) {
    if (!controller->board().Holds(client_id, progress.task_id())) continue;
    controller->board().SetProgress(client_id, progress);
    if (progress.state() == v1::HeldTask::FINISHED) {
      controller->board().NoteTrainEnd(client_id, options_.clock->Monotonic());
    }
    controller->ProgressChanged();
  }
}

// ---- transfers

absl::StatusOr<uint64_t> Manager::DeclaredExamples(const std::string& client_id) {
  {
    MutexLock lock(&mu_);
    if (const auto found = declared_.find(client_id); found != declared_.end()) return found->second;
  }
  // Uploads may come before the first hello after a restart.
  TRB_ASSIGN_OR_RETURN(const std::vector<Candidate> clients, options_.dispatcher->Candidates());
  for (const Candidate& c : clients) {
    if (c.client_id == client_id) return c.dataset.examples();
  }
  return 0;
}

absl::StatusOr<RunManager::TaskTerms> Manager::GetTask(const std::string& client_id, const std::string& task_id) {
  TRB_ASSIGN_OR_RETURN(const RunStore::Task task, OwnTask(client_id, task_id));
  TRB_ASSIGN_OR_RETURN(const RunRow row, options_.store->GetRun(task.run));
  std::shared_ptr<const RunSpec> loaded;
  const ControllerPtr controller = Find(task.run);
  if (controller == nullptr) {
    TRB_ASSIGN_OR_RETURN(loaded, RunSpec::From(row));
  }
  const RunSpec& spec = controller == nullptr ? *loaded : controller->spec();
  TaskTerms terms;
  terms.run_id = task.run;
  terms.round = task.round;
  terms.base_model_sha256 = task.base_model_sha256;
  terms.plan_sha256 = spec.plan_sha256;
  terms.encoding = std::string(update::kDefaultEncoding);
  terms.parameters = spec.parameters();
  terms.base_model_bytes = spec.model_bytes();
  TRB_ASSIGN_OR_RETURN(terms.max_examples, DeclaredExamples(client_id));
  terms.max_weight = spec.plan.aggregate().max_weight();
  terms.open = IsOpenTask(task);
  if (!terms.open) {
    ClosedReason why = WhyClosed(task, row.run.state());
    terms.closed_code = std::move(why.code);
    terms.closed_reason = std::move(why.reason);
  }
  return terms;
}

absl::StatusOr<AcceptResult> Manager::Accept(const Acceptance& acceptance) {
  const v1::UpdateRecord& record = acceptance.record;
  const ControllerPtr controller = Find(record.run_id());
  const bool holds = controller != nullptr && controller->board().Holds(record.client_id(), record.task_id());
  // Noted before the row says accepted, so that whoever closes the round finds it.
  if (holds) {
    controller->board().NoteTrainEnd(record.client_id(),
                                     options_.clock->Monotonic() - absl::Milliseconds(acceptance.upload_ms));
  }
  TRB_ASSIGN_OR_RETURN(AcceptResult result, options_.store->AcceptUpdate(acceptance));
  if (controller != nullptr && result.kind == AcceptResult::Kind::kAccepted) {
    controller->board().ForgetProgress(record.client_id());
    controller->Wake();
  }
  return result;
}

void Manager::Refuse(const std::string& client_id, const std::string& task_id, const v1::Rejected& why,
                     uint64_t bytes) {
  const absl::StatusOr<RunStore::Task> task = OwnTask(client_id, task_id);
  if (!task.ok()) return;
  ContributionChange change;
  change.state = "rejected";
  change.reason = absl::StrCat(why.code(), ": ", EscapeForLog(why.reason(), kMaxReason));
  if (bytes > 0) change.add_bytes_up = bytes;
  Log(LogLevel::kWarning, "update_rejected",
      {{"run", task->run}, {"round", task->round}, {"client", task->client_name}, {"reason", *change.reason}});
  Change(*task, change);
  if (const ControllerPtr controller = Find(task->run); controller != nullptr) {
    controller->board().ForgetProgress(client_id);
    controller->Wake();
  }
}

void Manager::CountBytesDown(const std::string& client_id, const std::string& task_id, uint64_t bytes) {
  const absl::StatusOr<RunStore::Task> task = OwnTask(client_id, task_id);
  if (!task.ok()) return;
  ContributionChange change;
  change.add_bytes_down = bytes;
  Change(*task, change);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunManager>> RunManager::Create(Options options) {
  if (options.store == nullptr || options.dispatcher == nullptr || options.blobs == nullptr ||
      options.clock == nullptr || options.federation.empty() || options.threads < 1) {
    return absl::InvalidArgumentError("run manager: store, dispatcher, blobs, clock, federation or threads not set");
  }
  return std::unique_ptr<RunManager>(new Manager(std::move(options)));
}

}  // namespace tributary::rounds
