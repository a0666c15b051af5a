// What a round does next, decided from a snapshot: pure functions, without I/O, threads or a clock.
//
//   SELECTING -> TRAINING -> AGGREGATING -> EVALUATING -> COMMITTED
//       \            \            \             \ .
//        +------------+------------+-------------+-> ABANDONED
//
// Elapsed times are up-time of the coordinator spent in that state: downtime does not count.
// Threads: pure functions.
#ifndef TRIBUTARY_SERVER_ROUNDS_ROUND_H_
#define TRIBUTARY_SERVER_ROUNDS_ROUND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace tributary::v1 {
class RunPlan;
}

namespace tributary::rounds {

enum class RoundState { kSelecting, kTraining, kAggregating, kEvaluating, kCommitted, kAbandoned };

// The words of the ledger: "selecting", "training"...
std::string_view RoundStateName(RoundState state);
std::optional<RoundState> ParseRoundState(std::string_view name);
// Whether there is an arrow between the two in the picture above.
bool MayFollow(RoundState from, RoundState to);
// Committed or abandoned: nothing changes any more.
bool IsFinal(RoundState state);

// What a plan says about staffing and closing.
struct RoundRules {
  uint64_t rounds = 1;       // committed rounds wanted
  uint64_t target = 1;       // accepted updates that close a round
  uint64_t invitations = 1;  // ceil(clients * over_select)
  uint64_t min_clients = 1;
  absl::Duration deadline, select_wait, stall_timeout;
  uint32_t max_failed_rounds = 3;
  std::string stop_metric;  // empty = no rule
  double stop_target = 0;

  static RoundRules From(const v1::RunPlan& plan);
};

// ---- SELECTING

// An enrolled, active client whose labels fit. `known` is false before its first hello: its data may turn out to fit,
// so selection waits for it, but it is offline and cannot be taken.
struct SelectionCandidate {
  std::string client_id, name;
  bool online = false;
  bool known = true;
};

struct SelectingSnapshot {
  std::vector<SelectionCandidate> ranked;  // most preferred first
  absl::Duration elapsed;                  // in SELECTING, over all restarts
  bool stalled = false;
  absl::Duration stalled_for;
  std::string shortage;  // for people: why clients are missing, e.g. who was not eligible
};

struct SelectingDecision {
  enum class Action {
    kWait,    // until `wait` has passed or a client comes or goes
    kInvite,  // `invited`, in rank order: SELECTING -> TRAINING
    kStall,   // the run becomes stalled with `reason`; the round stays in SELECTING
    kFail,    // the run failed: SELECTING -> ABANDONED
  };
  Action action = Action::kWait;
  std::vector<SelectionCandidate> invited;
  absl::Duration wait = absl::InfiniteDuration();
  std::string reason;
};

SelectingDecision DecideSelecting(const RoundRules& rules, const SelectingSnapshot& now);

// ---- TRAINING

struct TrainingSnapshot {
  uint64_t target = 1;    // of this round, as committed with the invitations
  uint64_t accepted = 0;  // updates
  uint64_t open = 0;      // invited clients that may still deliver: neither declined, rejected nor revoked
  absl::Duration elapsed;
};

struct TrainingDecision {
  enum class Action {
    kWait,       // until `wait` has passed or a row changes
    kAggregate,  // TRAINING -> AGGREGATING
    kAbandon,    // TRAINING -> ABANDONED
  };
  Action action = Action::kWait;
  absl::Duration wait = absl::InfiniteDuration();
  bool at_deadline = false;      // rows still open become late (or dropped when offline), else not_needed
  std::string open_rows_become;  // late | not_needed
  std::string reason;
  uint64_t accepted = 0;  // of the snapshot: the decision holds while there are no more
};

TrainingDecision DecideTraining(const RoundRules& rules, const TrainingSnapshot& now);

// ---- between rounds

struct RunSnapshot {
  uint64_t committed = 0;
  uint32_t abandoned_in_a_row = 0;
  // Of the newest committed round; absent when not measured.
  std::optional<double> test_loss, test_accuracy, validation_loss, validation_accuracy;
};

struct RunDecision {
  enum class Action { kNextRound, kComplete, kFail };
  Action action = Action::kNextRound;
  std::string reason;  // empty when complete because all rounds are done
};

RunDecision DecideRun(const RoundRules& rules, const RunSnapshot& now);

// Whether the model that would become number `committed` is due for the central test: every N, and the last. A stop
// rule on a test metric changes nothing here: it is looked at when there is a value.
bool EvaluationDue(const v1::RunPlan& plan, uint64_t committed);

// ---- rows

// invited or accepted_task: an update may still come.
bool IsOpenContribution(std::string_view state);

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_ROUND_H_
