#include "client/session/task_board.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"

namespace tributary::session {
namespace {

v1::HeldTask::State WireState(TaskState state) {
  switch (state) {
    case TaskState::kTraining:
      return v1::HeldTask::TRAINING;
    case TaskState::kFinished:
      return v1::HeldTask::FINISHED;
    default:
      return v1::HeldTask::QUEUED;
  }
}

// The coordinator hears of it when it sends the task again: this client no longer says that it holds it.
absl::Status GiveUp(const TaskRow& row, ClientLedger* ledger) {
  const Refusal why{"training_failed", absl::StrCat("this program was killed ", row.starts,
                                                    " times while it trained this task: too little memory?")};
  Log(LogLevel::kError, "task_given_up",
      {{"run", row.task.run_id()}, {"round", row.task.round()}, {"task", row.task.task_id()}, {"why", why.reason}});
  return ledger->CloseUnfinished(row.task.task_id(), TaskState::kFailed, why).status();
}

}  // namespace

absl::StatusOr<std::unique_ptr<TaskBoard>> TaskBoard::Create(ClientLedger* ledger, const Clock* clock) {
  std::unique_ptr<TaskBoard> board(new TaskBoard(ledger, clock));
  TRB_ASSIGN_OR_RETURN(std::vector<TaskRow> held, ledger->HeldTasks());
  TRB_ASSIGN_OR_RETURN(const std::vector<OutboxEntry> outbox, ledger->ListOutbox());
  const MutexLock lock(&board->mu_);
  for (TaskRow& row : held) {
    if (row.state != TaskState::kFinished && row.starts >= kMostLostStarts) {
      TRB_RETURN_IF_ERROR(GiveUp(row, ledger));
      continue;
    }
    auto item = std::make_unique<Item>();
    item->task = std::move(row.task);
    item->state = row.state == TaskState::kFinished ? TaskState::kFinished : TaskState::kQueued;
    item->received = clock->Monotonic();
    board->items_.push_back(std::move(item));
  }
  for (const OutboxEntry& entry : outbox)
    if (Item* item = board->FindLocked(entry.record.task_id()); item != nullptr)
      item->update_sha256 = entry.record.update_sha256();
  return board;
}

TaskBoard::Item* TaskBoard::FindLocked(const std::string& task_id) {
  for (const auto& item : items_)
    if (item->task.task_id() == task_id) return item.get();
  return nullptr;
}

void TaskBoard::RemoveLocked(const std::string& task_id) {
  items_.erase(
      std::remove_if(items_.begin(), items_.end(), [&](const auto& item) { return item->task.task_id() == task_id; }),
      items_.end());
  changed_.NotifyAll();
}

std::vector<v1::HeldTask> TaskBoard::Held() const {
  const MutexLock lock(&mu_);
  std::vector<v1::HeldTask> held;
  for (const auto& item : items_) {
    v1::HeldTask& task = held.emplace_back();
    task.set_task_id(item->task.task_id());
    task.set_state(WireState(item->state));
    if (item->state == TaskState::kFinished) task.set_update_sha256(item->update_sha256);
  }
  return held;
}

absl::Status TaskBoard::Online(const v1::Welcome& welcome, Send send) {
  {
    const MutexLock lock(&mu_);
    identity_ = {welcome.federation(), welcome.client_id(), welcome.name()};
    send_ = std::move(send);
    uploads_ = std::stop_source();
  }
  for (const v1::TaskVerdict& verdict : welcome.verdicts()) {
    if (verdict.action() == v1::TaskVerdict::CANCEL) {
      TRB_RETURN_IF_ERROR(Drop(verdict.task_id(), {"cancelled", verdict.reason()}));
    } else if (verdict.action() != v1::TaskVerdict::RESEND) {
      Confirm(verdict.task_id());  // RESEND: the task itself follows and confirms
    }
  }
  const MutexLock lock(&mu_);
  online_ = true;
  ++sessions_;
  for (const auto& item : items_) item->not_before = absl::ZeroDuration();
  changed_.NotifyAll();
  return absl::OkStatus();
}

void TaskBoard::Offline() {
  const MutexLock lock(&mu_);
  online_ = false;
  send_ = nullptr;
  uploads_.request_stop();
}

bool TaskBoard::Confirm(const std::string& task_id) {
  const MutexLock lock(&mu_);
  Item* const item = FindLocked(task_id);
  if (item == nullptr) return false;
  item->confirmed = true;
  changed_.NotifyAll();
  return true;
}

// What the ledger holds may not be here: an earlier attempt to take it up failed half-way, on a full disk for one.
absl::Status TaskBoard::Accepted(const v1::TrainTask& task) {
  if (Confirm(task.task_id())) return absl::OkStatus();
  TRB_RETURN_IF_ERROR(DropOvertaken(task));
  auto item = std::make_unique<Item>();
  item->task = task;
  item->confirmed = true;
  item->received = clock_.Monotonic();
  const MutexLock lock(&mu_);
  items_.push_back(std::move(item));
  changed_.NotifyAll();
  return absl::OkStatus();
}

absl::Status TaskBoard::DropOvertaken(const v1::TrainTask& by) {
  std::vector<std::string> older;
  {
    const MutexLock lock(&mu_);
    for (const auto& item : items_)
      if (item->task.run_id() == by.run_id() && item->state != TaskState::kFinished)
        older.push_back(item->task.task_id());
  }
  for (const std::string& task_id : older)
    TRB_RETURN_IF_ERROR(Drop(task_id, {"overtaken", absl::StrCat("by round ", by.round())}));
  return absl::OkStatus();
}

// The ledger decides who was first, the trainer with the finished update or the cancel.
absl::Status TaskBoard::Drop(const std::string& task_id, const Refusal& reason) {
  const Refusal why = Shortened(reason);
  TRB_ASSIGN_OR_RETURN(const bool dropped, ledger_.CloseUnfinished(task_id, TaskState::kDropped, why));
  if (!dropped) return absl::OkStatus();
  Log(LogLevel::kInfo, "task_dropped", {{"task", task_id}, {"code", why.code}, {"reason", why.reason}});
  Forget(task_id);
  return absl::OkStatus();
}

void TaskBoard::Forget(const std::string& task_id) {
  const MutexLock lock(&mu_);
  if (Item* item = FindLocked(task_id); item != nullptr) item->stop.request_stop();
  RemoveLocked(task_id);
}

absl::Status TaskBoard::Declined(const std::string& task_id) {
  {
    const MutexLock lock(&mu_);
    if (FindLocked(task_id) == nullptr) return absl::OkStatus();
  }
  TRB_ASSIGN_OR_RETURN(const std::optional<TaskRow> row, ledger_.FindTask(task_id));
  if (!row.has_value() || !IsHeld(row->state)) Forget(task_id);
  return absl::OkStatus();
}

absl::Status TaskBoard::Cancelled(const v1::CancelTask& cancel) {
  return Drop(cancel.task_id(), {cancel.code(), cancel.reason()});
}

std::optional<TrainJob> TaskBoard::NextTraining() {
  TrainJob job;
  {
    const MutexLock lock(&mu_);
    const auto ready = [](const auto& item) { return item->state == TaskState::kQueued && item->confirmed; };
    auto next = items_.end();
    while (!stopped_ && (next = std::find_if(items_.begin(), items_.end(), ready)) == items_.end()) changed_.Wait(&mu_);
    if (stopped_) return std::nullopt;
    Item& item = **next;
    item.state = TaskState::kTraining;
    item.stop = std::stop_source();
    const int64_t waited = absl::ToInt64Milliseconds(clock_.Monotonic() - item.received);
    job = {item.task, identity_, item.stop.get_token(), static_cast<uint64_t>(std::max<int64_t>(waited, 0))};
  }
  // When it was cancelled this very moment the row is gone: the job's token says so too.
  const absl::Status saved = ledger_.SetTaskState(job.task.task_id(), TaskState::kTraining);
  if (!saved.ok()) Log(LogLevel::kDebug, "task_state_not_saved", {{"task", job.task.task_id()}});
  SendState(job.task.task_id(), v1::HeldTask::TRAINING);
  return job;
}

absl::Status TaskBoard::Begins(const std::string& task_id) {
  const absl::Status counted = ledger_.CountStart(task_id);
  if (absl::IsNotFound(counted)) return absl::CancelledError("cancelled");
  TRB_RETURN_IF_ERROR(counted);
  const MutexLock lock(&mu_);
  if (Item* item = FindLocked(task_id); item != nullptr) item->begun = true;
  return absl::OkStatus();
}

void TaskBoard::Progress(const std::string& task_id, uint64_t steps_done, uint64_t steps_total) {
  v1::ClientMessage message;
  v1::TaskProgress& progress = *message.mutable_progress();
  progress.set_task_id(task_id);
  progress.set_state(v1::HeldTask::TRAINING);
  progress.set_steps_done(steps_done);
  progress.set_steps_total(steps_total);
  SendMessage(std::move(message));
}

void TaskBoard::Trained(const std::string& task_id, const std::string& update_sha256) {
  {
    const MutexLock lock(&mu_);
    Item* item = FindLocked(task_id);
    if (item == nullptr) return;
    item->state = TaskState::kFinished;
    item->update_sha256 = update_sha256;
    item->not_before = absl::ZeroDuration();
    changed_.NotifyAll();
  }
  SendState(task_id, v1::HeldTask::FINISHED);
}

absl::Status TaskBoard::TrainingFailed(const std::string& task_id, const Refusal& why) {
  TRB_ASSIGN_OR_RETURN(const bool closed, ledger_.CloseUnfinished(task_id, TaskState::kFailed, why));
  {
    const MutexLock lock(&mu_);
    RemoveLocked(task_id);
  }
  if (!closed) return absl::OkStatus();
  v1::ClientMessage message;
  v1::TaskAnswer& answer = *message.mutable_answer();
  answer.set_task_id(task_id);
  answer.set_accepted(false);
  answer.set_code(why.code);
  answer.set_reason(why.reason);
  SendMessage(std::move(message));
  return absl::OkStatus();
}

void TaskBoard::TrainingStopped(const std::string& task_id) {
  if (TakeBegun(task_id)) UndoStart(task_id);
  const MutexLock lock(&mu_);
  Item* item = FindLocked(task_id);
  if (item == nullptr || item->state != TaskState::kTraining) return;
  item->state = TaskState::kQueued;
  changed_.NotifyAll();
}

bool TaskBoard::TakeBegun(const std::string& task_id) {
  const MutexLock lock(&mu_);
  Item* item = FindLocked(task_id);
  return item != nullptr && std::exchange(item->begun, false);
}

void TaskBoard::Pause(const TrainJob& job, absl::Duration d) {
  const MutexLock lock(&mu_);
  const absl::Duration until = clock_.Monotonic() + d;
  const uint64_t session = sessions_;
  while (!job.stop.stop_requested() && sessions_ == session && clock_.Monotonic() < until)
    clock_.WaitUntil(&mu_, &changed_, until);
}

std::optional<TaskBoard::UploadJob> TaskBoard::NextUpload() {
  const MutexLock lock(&mu_);
  while (!stopped_) {
    absl::Duration wake = absl::InfiniteDuration();
    const absl::Duration now = clock_.Monotonic();
    for (const auto& item : items_) {
      if (!online_ || item->state != TaskState::kFinished) continue;
      if (item->not_before <= now) return UploadJob{item->task, uploads_.get_token()};
      wake = std::min(wake, item->not_before);
    }
    clock_.WaitUntil(&mu_, &changed_, wake);
  }
  return std::nullopt;
}

void TaskBoard::RetryUpload(const std::string& task_id, absl::Duration after) {
  const MutexLock lock(&mu_);
  if (Item* item = FindLocked(task_id); item != nullptr) item->not_before = clock_.Monotonic() + after;
}

void TaskBoard::Uploaded(const std::string& task_id) {
  const MutexLock lock(&mu_);
  RemoveLocked(task_id);
}

void TaskBoard::Requeued(const std::string& task_id) {
  const MutexLock lock(&mu_);
  if (Item* item = FindLocked(task_id); item != nullptr) {
    item->state = TaskState::kQueued;
    item->confirmed = true;
  }
  changed_.NotifyAll();
}

bool TaskBoard::Idle() const {
  const MutexLock lock(&mu_);
  return items_.empty();
}

void TaskBoard::Stop() {
  std::vector<std::string> begun;
  {
    const MutexLock lock(&mu_);
    stopped_ = true;
    uploads_.request_stop();
    for (const auto& item : items_) {
      item->stop.request_stop();
      if (std::exchange(item->begun, false)) begun.push_back(item->task.task_id());
    }
    changed_.NotifyAll();
  }
  // Not left to the trainer: it may be within something that takes longer than this process has time to end.
  for (const std::string& task_id : begun) UndoStart(task_id);
}

void TaskBoard::UndoStart(const std::string& task_id) {
  const absl::Status undone = ledger_.UndoStart(task_id);
  if (!undone.ok()) Log(LogLevel::kWarning, "task_state_not_saved", {{"task", task_id}, {"why", undone.ToString()}});
}

void TaskBoard::SendState(const std::string& task_id, v1::HeldTask::State state) {
  v1::ClientMessage message;
  message.mutable_progress()->set_task_id(task_id);
  message.mutable_progress()->set_state(state);
  SendMessage(std::move(message));
}

// Lost when no session is open: the next hello says it all again.
void TaskBoard::SendMessage(v1::ClientMessage message) {
  Send send;
  {
    const MutexLock lock(&mu_);
    send = send_;
  }
  if (send) send(std::move(message));
}

}  // namespace tributary::session
