// DIR/client.db: what this client holds, remembers and has sent. SQLite; the schema is a public interface
// (docs/reference/database.md). Beside it DIR/outbox holds the bytes of updates that are finished but not receipted
// (outbox.h).
//
// Every mutation is one durable transaction: when it returns OK it survives a kill -9.
// A task: queued -> training -> finished -> done (receipted) | rejected; queued, training or finished -> dropped
// (cancelled, overtaken, not needed any more) | failed; the newest 1,000 declined ones are remembered too, with the
// answer given. Older ones are forgotten, as are dropped ones before the newest 1,000 tasks for which nothing was sent,
// and runs of which nothing else is known.
// Threads: every method is safe from any thread.
// Errors: those of common/storage/database.h; NOT_FOUND for a task that is not there.
#ifndef TRIBUTARY_CLIENT_SESSION_CLIENT_LEDGER_H_
#define TRIBUTARY_CLIENT_SESSION_CLIENT_LEDGER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/session/history_check.h"
#include "common/base/status.h"
#include "common/storage/database.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::session {

enum class TaskState { kQueued, kTraining, kFinished, kDone, kDropped, kDeclined, kFailed, kRejected };
const char* TaskStateName(TaskState state);
// Queued, training or finished.
bool IsHeld(TaskState state);

struct TaskRow {
  v1::TrainTask task;  // only while held; otherwise task_id, run_id, run_name and round alone
  TaskState state = TaskState::kQueued;
  std::string code, reason;  // why declined, failed, dropped or rejected
  int64_t received_unix_ms = 0;
  uint64_t starts = 0;  // how often training began and did not come to an orderly end
};

// An update on its way: what is signed, and the file with its bytes (by its digest).
struct OutboxEntry {
  v1::UpdateRecord record;  // with task_id, update_sha256 and length
  std::string signature;
  std::string metrics;  // serialised UpdateMetrics
};

// One line of `uploads`.
struct SentRow {
  std::string kind;     // dataset_facts | metrics | delta
  std::string task_id;  // empty for dataset_facts, as the run
  std::string run_id, run_name;
  uint64_t round = 0;
  std::string detail;  // what it says, in words; of a delta: its encoding
  uint64_t bytes = 0;
  std::string sha256;
  std::string outcome;  // sent | sending | receipted | not_needed | rejected: CODE
  uint64_t times = 1;   // how often it was sent or begun
  int64_t first_unix_ms = 0, last_unix_ms = 0;
  std::string receipt;  // serialised Receipt; empty without
};

class ClientLedger {
 public:
  // Makes or upgrades DIR/client.db.
  static absl::StatusOr<std::unique_ptr<ClientLedger>> Open(const std::string& directory);
  // Beside a running daemon. NOT_FOUND when there is none yet.
  static absl::StatusOr<std::unique_ptr<ClientLedger>> OpenReadOnly(const std::string& directory);

  // ---- runs and tasks
  absl::StatusOr<std::optional<RunMemory>> FindRun(const std::string& run_id);
  // The newest first, at most `limit`.
  absl::StatusOr<std::vector<RunMemory>> Runs(size_t limit);
  // Remembers the task's round as the run's newest, and the task in this state (queued or declined), replacing a row of
  // the same id that is not held.
  absl::Status AddTask(const v1::TrainTask& task, TaskState state, const Refusal& refusal, int64_t now_unix_ms);
  // Remembers why the task was declined, but not its history: for one that forks it. A row that is there keeps what it
  // says of the task as it came first; when that was not trained yet it is declined too.
  absl::Status AddRefusedHistory(const v1::TrainTask& task, const Refusal& refusal, int64_t now_unix_ms);
  absl::StatusOr<std::optional<TaskRow>> FindTask(const std::string& task_id);
  // Queued, training and finished ones, oldest first.
  absl::StatusOr<std::vector<TaskRow>> HeldTasks();
  // How often a task was taken from `since` until `now`; one that was dropped and taken again counts twice. What was
  // taken in the future, before the clock was set back, does not count.
  absl::StatusOr<uint64_t> CountAccepted(int64_t since_unix_ms, int64_t now_unix_ms);
  // Whether the task's round of its run was taken under another task id.
  absl::StatusOr<bool> TookRoundAsOther(const v1::TrainTask& task);
  // queued <-> training.
  absl::Status SetTaskState(const std::string& task_id, TaskState state);
  // Training begins: the task is in training, and one more start is counted. Taken back by UndoStart when the training
  // is stopped in an orderly way; what remains counted ended with this process.
  absl::Status CountStart(const std::string& task_id);
  absl::Status UndoStart(const std::string& task_id);
  // Whether a task of the run that was received from `since` until `now` was given up after `starts` starts.
  absl::StatusOr<bool> GaveUpTaskOf(const std::string& run_id, uint64_t starts, int64_t since_unix_ms,
                                    int64_t now_unix_ms);
  // Ends a task that is not finished yet. False when it was finished, or over, before.
  absl::StatusOr<bool> CloseUnfinished(const std::string& task_id, TaskState end, const Refusal& why);
  // A held task comes to its end; its outbox row goes in the same transaction. `outcome` goes to its rows in `sent`;
  // `receipt` (serialised) with kDone.
  absl::Status CloseTask(const std::string& task_id, TaskState end, const Refusal& why, std::string_view receipt,
                         int64_t now_unix_ms);

  // ---- outbox
  // The task becomes finished.
  absl::Status AddOutbox(const OutboxEntry& entry);
  // The row of a finished task goes and the task is queued again: its bytes are gone or damaged.
  absl::Status RequeueFinished(const std::string& task_id);
  absl::StatusOr<std::optional<OutboxEntry>> FindOutbox(const std::string& task_id);
  absl::StatusOr<std::vector<OutboxEntry>> ListOutbox();
  // Another signature over the same update, after a renewal.
  absl::Status ReplaceSignature(const OutboxEntry& entry);

  // ---- what left this machine
  // Before a byte of it leaves. The same thing again (kind, task, digest) only counts up.
  absl::Status RecordSent(const SentRow& row);
  // In order of first sending.
  absl::Status ListSent(const std::function<absl::Status(const SentRow&)>& each);

  // ---- what hello said last when the data could be read (serialised DatasetFacts); empty when never.
  absl::StatusOr<std::string> LastFacts();
  absl::Status SaveFacts(std::string_view serialised);

 private:
  explicit ClientLedger(std::unique_ptr<storage::Database> db) : db_(std::move(db)) {}
  absl::Status CountAccepted(const std::string& task_id, int64_t now_unix_ms);
  absl::Status ForgetOld(int64_t now_unix_ms);
  absl::Status WriteTask(const v1::TrainTask& task, TaskState state, const Refusal& refusal, int64_t now_unix_ms);

  const std::unique_ptr<storage::Database> db_;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_CLIENT_LEDGER_H_
