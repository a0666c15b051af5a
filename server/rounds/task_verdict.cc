#include "server/rounds/task_verdict.h"

#include "absl/strings/str_cat.h"
#include "server/rounds/round.h"

namespace tributary::rounds {

bool IsOpenTask(const RunStore::Task& task) {
  return task.round_state == RoundStateName(RoundState::kTraining) && IsOpenContribution(task.contribution_state);
}

v1::TaskVerdict JudgeHeldTask(const v1::HeldTask& held, const std::optional<RunStore::Task>& task) {
  v1::TaskVerdict verdict;
  verdict.set_task_id(held.task_id());
  const bool finished = held.state() == v1::HeldTask::FINISHED;
  if (!task.has_value()) {
    verdict.set_action(v1::TaskVerdict::CANCEL);
    verdict.set_reason("unknown: no such task of this client");
  } else if (task->contribution_state == "accepted" && finished) {
    verdict.set_action(v1::TaskVerdict::UPLOAD);
  } else if (!IsOpenTask(*task)) {
    verdict.set_action(v1::TaskVerdict::CANCEL);
    verdict.set_reason(
        absl::StrCat("round ", task->round, " is ", task->round_state, ", this task ", task->contribution_state));
  } else if (finished) {
    verdict.set_action(v1::TaskVerdict::UPLOAD);
  } else if (held.state() == v1::HeldTask::QUEUED || held.state() == v1::HeldTask::TRAINING) {
    verdict.set_action(v1::TaskVerdict::CONTINUE);
  } else {
    verdict.set_action(v1::TaskVerdict::RESEND);
  }
  return verdict;
}

ClosedReason WhyClosed(const RunStore::Task& task, const std::string& run_state) {
  if (run_state == "stopped") return {"stopped", "the run was stopped"};
  const std::string where = absl::StrCat("round ", task.round, " is ", task.round_state);
  if (task.contribution_state == "late" || task.contribution_state == "dropped") {
    return {"late", absl::StrCat(where, "; its deadline has passed")};
  }
  if (IsOpenContribution(task.contribution_state)) return {"not_needed", where};
  return {"not_needed", absl::StrCat(where, "; this task is ", task.contribution_state)};
}

}  // namespace tributary::rounds
