// The tasks that this client holds, between the three that work on them: the session's thread (offers, cancels,
// verdicts), the trainer and the uploader. The ledger is the truth; the board is what is going on in this process.
//
// One task a run waits to be trained: a newer round overtakes an older one. A task that was held before a restart is
// not begun until the coordinator has said that it still wants it. A finished task is resolved by BeginUpload alone.
// Threads: every method is safe from any thread. NextTraining and NextUpload block. `send` is called without the lock
// held, must not block, and may be called once more by another thread while Offline returns: it owns what it uses.
#ifndef TRIBUTARY_CLIENT_SESSION_TASK_BOARD_H_
#define TRIBUTARY_CLIENT_SESSION_TASK_BOARD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "client/session/client_ledger.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::session {

// Who this client is, as the coordinator says.
struct SessionIdentity {
  std::string federation, client_id, name;
};

struct TrainJob {
  v1::TrainTask task;
  SessionIdentity identity;
  std::stop_token stop;  // cancelled, or the daemon stops
  uint64_t queue_ms = 0;
};

class TaskBoard {
 public:
  // As many trainings of one task as may end with the process that ran them (out of memory, most likely) before the
  // task is given up.
  static constexpr uint64_t kMostLostStarts = 2;

  // Both borrowed. Takes up what the ledger holds: what was being trained is queued again, or failed when its training
  // ended with the process too often.
  static absl::StatusOr<std::unique_ptr<TaskBoard>> Create(ClientLedger* ledger, const Clock* clock);

  // ---- the session
  using Send = std::function<void(v1::ClientMessage)>;
  std::vector<v1::HeldTask> Held() const;
  // The session is open: verdicts are applied, the uploader may go. `send` is kept until Offline.
  absl::Status Online(const v1::Welcome& welcome, Send send);
  void Offline();
  // A task that TaskIntake accepted, and that the ledger holds: new, or known already.
  absl::Status Accepted(const v1::TrainTask& task);
  absl::Status Cancelled(const v1::CancelTask& cancel);
  // TaskIntake declined it. One that was held until now is no longer, if the ledger says so.
  absl::Status Declined(const std::string& task_id);

  // ---- the trainer
  // Blocks until there is one to train, oldest first; nothing once Stop was called.
  std::optional<TrainJob> NextTraining();
  // Call it before anything that may cost much memory: counts the start durably. CANCELLED when the task is gone.
  absl::Status Begins(const std::string& task_id);
  void Progress(const std::string& task_id, uint64_t steps_done, uint64_t steps_total);
  // The update is in the outbox.
  void Trained(const std::string& task_id, const std::string& update_sha256);
  // It cannot be trained: declined for good with `why`, unless it was cancelled meanwhile.
  absl::Status TrainingFailed(const std::string& task_id, const Refusal& why);
  // It was cancelled, or the daemon stops.
  void TrainingStopped(const std::string& task_id);
  // Waits for `d`, or until the job is stopped or a session opens: what failed for want of a connection need not wait.
  void Pause(const TrainJob& job, absl::Duration d);

  // ---- the uploader
  struct UploadJob {
    v1::TrainTask task;
    std::stop_token stop;  // the daemon stops, or the session is gone
  };
  std::optional<UploadJob> NextUpload();
  void RetryUpload(const std::string& task_id, absl::Duration after);
  void Uploaded(const std::string& task_id);
  // Its bytes were lost: train again.
  void Requeued(const std::string& task_id);

  // Nothing is held.
  bool Idle() const;
  // For good: all jobs are told to stop, blocked calls return.
  void Stop();

 private:
  struct Item {
    v1::TrainTask task;
    TaskState state = TaskState::kQueued;
    std::string update_sha256;  // once finished
    bool confirmed = false;     // the coordinator wants it, this process knows
    std::stop_source stop;      // of its training
    bool begun = false;         // a start is counted that did not end yet
    absl::Duration received;    // monotonic
    absl::Duration not_before;  // of the next upload attempt
  };

  TaskBoard(ClientLedger* ledger, const Clock* clock) : ledger_(*ledger), clock_(*clock) {}
  bool TakeBegun(const std::string& task_id) TRB_EXCLUDES(mu_);
  void UndoStart(const std::string& task_id) TRB_EXCLUDES(mu_);
  void Forget(const std::string& task_id) TRB_EXCLUDES(mu_);
  Item* FindLocked(const std::string& task_id) TRB_REQUIRES(mu_);
  void RemoveLocked(const std::string& task_id) TRB_REQUIRES(mu_);
  absl::Status Drop(const std::string& task_id, const Refusal& why) TRB_EXCLUDES(mu_);
  absl::Status DropOvertaken(const v1::TrainTask& by) TRB_EXCLUDES(mu_);
  // False when it is not on the board.
  bool Confirm(const std::string& task_id) TRB_EXCLUDES(mu_);
  void SendState(const std::string& task_id, v1::HeldTask::State state) TRB_EXCLUDES(mu_);
  void SendMessage(v1::ClientMessage message) TRB_EXCLUDES(mu_);

  ClientLedger& ledger_;  // locks itself
  const Clock& clock_;
  mutable Mutex mu_;
  CondVar changed_;
  std::vector<std::unique_ptr<Item>> items_ TRB_GUARDED_BY(mu_);  // oldest first
  SessionIdentity identity_ TRB_GUARDED_BY(mu_);
  Send send_ TRB_GUARDED_BY(mu_);
  bool online_ TRB_GUARDED_BY(mu_) = false;
  uint64_t sessions_ TRB_GUARDED_BY(mu_) = 0;  // opened so far
  bool stopped_ TRB_GUARDED_BY(mu_) = false;
  std::stop_source uploads_ TRB_GUARDED_BY(mu_);  // of the uploads of this session
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_TASK_BOARD_H_
