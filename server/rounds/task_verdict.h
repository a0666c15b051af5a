// What to do with a task that a client says it holds. Pure.
#ifndef TRIBUTARY_SERVER_ROUNDS_TASK_VERDICT_H_
#define TRIBUTARY_SERVER_ROUNDS_TASK_VERDICT_H_

#include <optional>
#include <string>

#include "server/rounds/store.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::rounds {

// Whether an update for it would be taken now. Ending a run abandons its open round, so the round's state is enough.
bool IsOpenTask(const RunStore::Task& task);

// `task` is the store's, absent when it has none or when it is another client's. A finished update that was accepted
// already is asked for again: BeginUpload then gives the stored receipt, which the client needs to clear its outbox.
v1::TaskVerdict JudgeHeldTask(const v1::HeldTask& held, const std::optional<RunStore::Task>& task);

// Why an update for it is not taken: code (not_needed | late | stopped) and reason, for NotNeeded.
struct ClosedReason {
  std::string code, reason;
};
ClosedReason WhyClosed(const RunStore::Task& task, const std::string& run_state);

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_TASK_VERDICT_H_
