#include "client/session/task_intake.h"

#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/session/task_board.h"
#include "common/learning/local_trainer.h"
#include "common/wire/check.h"

namespace tributary::session {
namespace {

constexpr size_t kMostHeld = 64;  // Hello names no more

TaskIntake::Decision Declined(Refusal refusal) { return {.accepted = false, .refusal = Shortened(std::move(refusal))}; }

// A task that was seen before must come as it came: the same round of the same run, on the same base model and past.
Refusal CheckUnchanged(const TaskRow& row, const std::optional<RunMemory>& memory, const v1::TrainTask& task) {
  if (row.task.run_id() != task.run_id() || row.task.round() != task.round())
    return {"history_fork", "this task was of another run or round before"};
  if (IsHeld(row.state)) return CheckHistory(MemoryOf(row.task), task);
  if (memory.has_value() && memory->round == task.round()) return CheckHistory(memory, task);
  return {};
}

// The answer to a task that was seen before; nothing when it is to be looked at afresh.
std::optional<TaskIntake::Decision> AnswerAgain(const TaskRow& row) {
  if (IsHeld(row.state)) return TaskIntake::Decision{.accepted = true, .refusal = {}};
  if (row.state == TaskState::kDropped) return std::nullopt;
  if (row.state == TaskState::kDone)
    return Declined({"training_failed", "this client has a receipt for this task already"});
  if (row.state == TaskState::kRejected) return Declined({"training_failed", "its update was refused: " + row.code});
  return Declined({row.code, row.reason});
}

}  // namespace

absl::StatusOr<TaskIntake::Decision> TaskIntake::Decide(const v1::TrainTask& task) {
  if (const absl::Status good = wire::Check(task); !good.ok()) {
    return Declined({"unsupported", std::string(good.message())});
  }
  TRB_ASSIGN_OR_RETURN(const std::optional<TaskRow> known, parts_.ledger->FindTask(task.task_id()));
  if (known.has_value()) {
    TRB_ASSIGN_OR_RETURN(const std::optional<RunMemory> memory, parts_.ledger->FindRun(task.run_id()));
    const Refusal changed = CheckUnchanged(*known, memory, task);
    if (changed.refused()) return RefuseHistory(task, changed);
    if (std::optional<Decision> again = AnswerAgain(*known); again.has_value()) return *std::move(again);
  }
  return DecideNew(task);
}

absl::StatusOr<TaskIntake::Decision> TaskIntake::RefuseHistory(const v1::TrainTask& task, const Refusal& why) {
  TRB_RETURN_IF_ERROR(parts_.ledger->AddRefusedHistory(task, why, parts_.clock->NowUnixMillis()));
  return Declined(why);
}

absl::StatusOr<Refusal> TaskIntake::CheckPast(const v1::TrainTask& task) {
  TRB_ASSIGN_OR_RETURN(const std::optional<RunMemory> memory, parts_.ledger->FindRun(task.run_id()));
  const Refusal history = CheckHistory(memory, task);
  if (history.refused()) return history;
  TRB_ASSIGN_OR_RETURN(const bool taken, parts_.ledger->TookRoundAsOther(task));
  if (taken) return Refusal{"history_fork", absl::StrCat("round ", task.round(), " came under another task id before")};
  return Refusal();
}

absl::StatusOr<Refusal> TaskIntake::CheckTerms(const v1::TrainTask& task, const ParsedTask& parsed) {
  const int64_t now = parts_.clock->NowUnixMillis();
  const int64_t yesterday = now - absl::ToInt64Milliseconds(absl::Hours(24));
  TRB_ASSIGN_OR_RETURN(const uint64_t today, parts_.ledger->CountAccepted(yesterday, now));
  const policy::Decision terms =
      policy::Decide(TermsOf(task, parsed.plan), *parts_.policy, {.accepted_last_day = today});
  if (!terms.accepted) return Refusal{terms.code, terms.reason};
  TRB_ASSIGN_OR_RETURN(const double needed, learning::TrainingBytes(parsed.model, parsed.plan.train(), parts_.threads));
  if (needed > static_cast<double>(parts_.memory_bytes)) {
    return Refusal{"training_failed",
                   absl::StrCat("training this model takes ", std::ceil(needed / 1e6), " MB of memory, more than the ",
                                parts_.memory_bytes / 1'000'000, " MB that this client has")};
  }
  TRB_ASSIGN_OR_RETURN(const bool given_up,
                       parts_.ledger->GaveUpTaskOf(task.run_id(), TaskBoard::kMostLostStarts, yesterday, now));
  if (given_up)
    return Refusal{"training_failed", "training for this run killed this program within the last day: no new attempt"};
  return parts_.data->Check(parsed.model);
}

absl::StatusOr<TaskIntake::Decision> TaskIntake::DecideNew(const v1::TrainTask& task) {
  const int64_t now = parts_.clock->NowUnixMillis();
  // What cannot be understood is not remembered: its fields may be anything.
  const absl::StatusOr<ParsedTask> parsed = ParseTask(task, *parts_.trust->Get());
  if (!parsed.ok()) return Declined({"unsupported", std::string(parsed.status().message())});
  TRB_ASSIGN_OR_RETURN(const Refusal past, CheckPast(task));
  if (past.refused()) return RefuseHistory(task, past);
  TRB_ASSIGN_OR_RETURN(const Refusal refusal, CheckTerms(task, *parsed));
  TRB_ASSIGN_OR_RETURN(const std::vector<TaskRow> held, parts_.ledger->HeldTasks());
  if (!refusal.refused() && held.size() >= kMostHeld) return Declined({"busy", "64 tasks are waiting here already"});
  const Decision decision = refusal.refused() ? Declined(refusal) : Decision{true, {}};
  TRB_RETURN_IF_ERROR(parts_.ledger->AddTask(task, decision.accepted ? TaskState::kQueued : TaskState::kDeclined,
                                             decision.refusal, now));
  return decision;
}

}  // namespace tributary::session
