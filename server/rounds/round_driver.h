// Carries one run forward, a transition at a time: reads the store, asks the pure decisions (round.h), writes the
// store, tells the clients. All slow work of a run happens in Step: aggregation, evaluation, blobs.
//
// Every transition is one transaction of the store, and Step reads its state back from there after an error, so a crash
// or a failed call at any point is gone on from as a restart would: the same round, the same invited list, the updates
// accepted so far. Aggregation and evaluation are simply done again: they repeat to the bit.
//
// Threads: one thread at a time; what others say comes through the RunBoard. Holds no lock.
#ifndef TRIBUTARY_SERVER_ROUNDS_ROUND_DRIVER_H_
#define TRIBUTARY_SERVER_ROUNDS_ROUND_DRIVER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "server/rounds/aggregation.h"
#include "server/rounds/central_test.h"
#include "server/rounds/dispatcher.h"
#include "server/rounds/round.h"
#include "server/rounds/run_board.h"
#include "server/rounds/run_spec.h"
#include "server/rounds/store.h"
#include "server/rounds/task_push.h"

namespace tributary::rounds {

class RoundDriver {
 public:
  // Borrowed; all outlive the driver.
  struct Environment {
    RunStore* store = nullptr;
    Dispatcher* dispatcher = nullptr;
    storage::BlobStore* blobs = nullptr;
    const Clock* clock = nullptr;
    std::string federation;
    int threads = 1;
  };
  // How often elapsed times are saved.
  static constexpr absl::Duration kSaveEvery = absl::Seconds(5);

  RoundDriver(const Environment& environment, std::shared_ptr<const RunSpec> spec, RunBoard* board);

  struct Next {
    bool ended = false;                          // nothing more will happen
    absl::Duration wait = absl::ZeroDuration();  // until Step has something to do, unless something happens
  };
  // At most one transition. An error leaves the store as it was: call Reload, then Step again after a while.
  // CANCELLED: the board was interrupted in the middle of long work.
  absl::StatusOr<Next> Step();
  // Forgets what it believes; the next Step reads the store.
  void Reload() { loaded_ = false; }
  // Best effort, for a clean stop.
  void SaveElapsed();
  // The run as it is now, and the round that changed last.
  v1::RunEvent Event() const;

 private:
  // Up-time spent on something: what earlier processes counted, and what this one adds.
  struct Timer {
    absl::Duration base, since;
    absl::Duration Elapsed(absl::Duration now) const { return base + (now - since); }
  };

  absl::Status Load();
  absl::Status LoadRun();
  void ResetTimers(const RoundRow& row);
  absl::StatusOr<Next> Begin();
  absl::Status ReadNewestMetrics(RunSnapshot* now);
  absl::StatusOr<Next> EndRun(const std::string& state, const std::string& reason);
  Next Ended();

  absl::StatusOr<Next> StepSelecting();
  absl::StatusOr<Next> Stall(const std::string& reason);
  absl::StatusOr<Next> Invite(const std::vector<SelectionCandidate>& invited);
  absl::StatusOr<Next> StepTraining();
  absl::Status ReadRows();
  void ShareTraining(const std::vector<Invitee>& invited);
  absl::Status PushOpenTasks();
  bool AddArrived();

  absl::StatusOr<Next> CloseTraining(const TrainingDecision& decision);
  absl::Status DropOffline();
  absl::Status CancelClosed(const std::vector<v1::Contribution>& before, const TrainingDecision& decision);
  absl::StatusOr<Next> StepAggregating();
  absl::StatusOr<Next> StepEvaluating();
  // `accepted`: what the decision counted. ABORTED: there are more by now, and nothing was done.
  absl::Status Abandon(const std::string& reason, const std::string& open_rows_become,
                       std::optional<uint64_t> accepted);
  RoundTimes Times(uint64_t evaluate_ms) const;
  std::optional<absl::Duration> TrainingSpan() const;

  absl::Status SaveElapsedNow();
  absl::StatusOr<Next> WaitAtMost(absl::Duration wait);
  absl::Duration Now() const { return env_.clock->Monotonic(); }
  uint64_t round() const { return round_->round.round(); }

  const Environment env_;
  const std::shared_ptr<const RunSpec> spec_;
  RunBoard& board_;
  const TaskPush push_;
  CentralTest central_test_;

  bool loaded_ = false;
  RunRow run_;
  std::optional<RoundRow> round_;  // open, or the one that was closed last
  RoundState state_ = RoundState::kSelecting;
  std::vector<v1::Contribution> rows_;  // of round_, as last read
  std::unique_ptr<RoundSum> sum_;       // of round sum_round_; null when nothing has been added, or adding failed
  uint64_t sum_round_ = 0;
  Timer phase_, total_, stalled_;
  uint64_t timed_round_ = 0;  // which round and state the timers belong to
  RoundState timed_state_ = RoundState::kSelecting;
  absl::Duration saved_at_;
  std::string model_sha256_;  // the new model, once aggregated
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_ROUND_DRIVER_H_
