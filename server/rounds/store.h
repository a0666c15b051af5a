// What the rounds need remembered. The SQLite ledger (server/ledger) implements it; tests use an in-memory fake that
// runs the same suite. A shared database can stand behind it later.
//
// Every mutation is one durable transaction: when it returns OK it survives a kill -9. States only move forward:
//   round: selecting -> training -> aggregating -> evaluating -> committed, or -> abandoned from any of them.
// Rows of a committed or abandoned round are frozen: what arrives later goes to AddEvent.
// Threads: every method is safe from any thread. None calls back.
// Errors: NOT_FOUND (no such run/round/contribution), FAILED_PRECONDITION (the state does not allow it), ABORTED (what
// the decision was made from has changed: decide again), DATA_LOSS (what is stored does not fit its digest),
// RESOURCE_EXHAUSTED (disk full), INTERNAL.
#ifndef TRIBUTARY_SERVER_ROUNDS_STORE_H_
#define TRIBUTARY_SERVER_ROUNDS_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/history/round_means.h"
#include "tributary/v1/operator.pb.h"
#include "tributary/v1/update.pb.h"

namespace tributary::rounds {

struct RunRow {
  v1::Run run;                          // as printed
  std::string plan_bytes;               // serialised RunPlan; its SHA-256 is run.plan_sha256()
  std::string receipt_certificate_pem;  // whose key signs this run's receipts and records (in the genesis record)
  uint32_t abandoned_in_a_row = 0;
  uint64_t stalled_ms = 0;  // counted in up-time; 0 unless stalled
};

// Who asked, as the audit has it. A text converts: without a certificate it is the coordinator itself, or a test.
struct Actor {
  Actor(std::string who, std::string certificate = "")  // NOLINT: implicit on purpose
      : name(std::move(who)), certificate_sha256(std::move(certificate)) {}
  Actor(const char* who) : name(who) {}  // NOLINT: likewise
  std::string name;                      // e.g. "operator/local"
  std::string certificate_sha256;        // of its TLS certificate
};

struct NewRun {
  std::string request_id;  // the same id again returns the run made before, whatever else differs
  std::string id;          // chosen by the caller
  std::string plan_bytes;  // with initial_model_sha256 set; that blob exists already
  std::string initial_model_sha256;
  std::string actor;                       // for the audit, e.g. "operator/local"
  std::string actor_certificate_sha256{};  // of its TLS certificate; empty for the coordinator itself
  int64_t now_unix_ms = 0;
};

struct RoundRow {
  v1::Round round;                     // as printed; state in words
  std::string previous_record_sha256;  // head of the chain when the round began
  uint64_t target = 0;                 // accepted updates that close the round
  uint64_t training_elapsed_ms = 0;    // up-time spent in TRAINING, saved at transitions and every 5 s
  uint64_t selecting_elapsed_ms = 0;
};

struct Invitee {
  std::string client_id, name, task_id;
};

// One checked update on its way in. Content checks are done; its blob is stored and synced.
struct Acceptance {
  v1::UpdateRecord record;
  std::string signature;      // of the client, over the record
  std::string metrics_bytes;  // serialised UpdateMetrics, digest in the record
  uint64_t weight = 0;        // examples, capped by the plan
  uint64_t upload_ms = 0;
  int64_t now_unix_ms = 0;
};

struct AcceptResult {
  enum class Kind {
    kAccepted,    // receipt is new and stored
    kDuplicate,   // the same update was accepted before; receipt is the stored one
    kConflict,    // another update of this client was accepted before
    kNotNeeded,   // target reached, or the round is past TRAINING, or the client is not open in it
    kNotAllowed,  // the client is no longer active
  };
  Kind kind = Kind::kNotNeeded;
  v1::Receipt receipt;
  uint64_t accepted = 0;  // in the round, after this
};

// What closes a round. `new_model_sha256` blob is stored and synced before.
struct RoundResult {
  std::string new_model_sha256;
  uint64_t examples = 0;
  history::RoundMeans means;
  std::optional<double> model_norm;
  uint64_t aggregate_ms = 0;
};

struct RoundEvaluation {
  std::optional<double> test_loss, test_accuracy, test_f1, test_precision, test_recall;
  std::string failure;  // why there is none, when one was due
  uint64_t evaluate_ms = 0;
};

struct RoundTimes {
  uint64_t select_ms = 0, train_ms = 0, total_ms = 0;
  std::optional<uint64_t> overhead_ms;
};

// Why a round is given up.
struct Abandonment {
  std::string reason;            // "code: text"
  std::string open_rows_become;  // late | dropped | not_needed
  // Updates that the decision counted. With another number by now the round is not abandoned: ABORTED. Unset: however
  // many there are.
  std::optional<uint64_t> accepted = std::nullopt;
  RoundTimes times = {};
};

// A change to one invited client's row that is not an acceptance. Only set fields change. Ignored (OK) once the row is
// final or the round is frozen; then the fact goes to the events.
struct ContributionChange {
  std::optional<std::string> state;   // accepted_task | declined | late | dropped | rejected | not_needed
  std::optional<std::string> reason;  // "code: text"
  std::optional<uint64_t> add_bytes_up, add_bytes_down;
};

class RunStore {
 public:
  virtual ~RunStore() = default;

  // ---- runs
  virtual absl::StatusOr<RunRow> CreateRun(const NewRun& run) = 0;  // state running, genesis record written
  virtual absl::StatusOr<RunRow> GetRun(const std::string& id) = 0;
  // Exact id, else unique prefix (>= 4 characters), else unique name. NOT_FOUND; INVALID_ARGUMENT when ambiguous.
  virtual absl::StatusOr<std::string> ResolveRun(const std::string& text) = 0;
  virtual absl::StatusOr<std::vector<RunRow>> ListRuns(bool active_only) = 0;  // newest first
  // running <-> stalled -> failed | stopped | completed. Ending a run abandons its open round, with this reason.
  virtual absl::Status SetRunState(const std::string& id, const std::string& state, const std::string& reason,
                                   int64_t now_unix_ms) = 0;
  virtual absl::Status SaveStalled(const std::string& id, uint64_t stalled_ms) = 0;

  // ---- rounds
  // The next round number (last + 1), state selecting, base model = newest committed (or initial) model.
  virtual absl::StatusOr<RoundRow> OpenRound(const std::string& run, int64_t now_unix_ms) = 0;
  virtual absl::StatusOr<std::optional<RoundRow>> GetOpenRound(const std::string& run) = 0;
  virtual absl::StatusOr<RoundRow> GetRound(const std::string& run, uint64_t round) = 0;
  virtual absl::StatusOr<std::vector<RoundRow>> ListRounds(const std::string& run) = 0;
  virtual absl::StatusOr<std::vector<v1::Contribution>> ListContributions(const std::string& run, uint64_t round) = 0;
  // selecting -> training: the invited list, committed before the first task is pushed, never redrawn.
  virtual absl::Status CommitInvitations(const std::string& run, uint64_t round, uint64_t target,
                                         const std::vector<Invitee>& invited, uint64_t select_ms) = 0;
  virtual absl::Status SaveElapsed(const std::string& run, uint64_t round, uint64_t selecting_ms,
                                   uint64_t training_ms) = 0;
  virtual absl::Status ChangeContribution(const std::string& run, uint64_t round, const std::string& client_id,
                                          const ContributionChange& change, int64_t now_unix_ms) = 0;
  // The one way in for an update: round still TRAINING, accepted < target, client active, row open and new, else the
  // result's kind says why not. Signs and stores the receipt in the same transaction.
  virtual absl::StatusOr<AcceptResult> AcceptUpdate(const Acceptance& acceptance) = 0;
  // training -> aggregating. Rows still open become `final_state` (late at the deadline, not_needed when the target is
  // reached).
  virtual absl::Status BeginAggregating(const std::string& run, uint64_t round, const std::string& open_rows_become,
                                        const std::string& reason, uint64_t train_ms) = 0;
  virtual absl::Status BeginEvaluating(const std::string& run, uint64_t round, const RoundResult& result) = 0;
  // evaluating -> committed: writes metrics, updates the run (rounds_done, best_round, model), freezes the rows,
  // appends the signed record to the chain. Returns the run as it is now.
  virtual absl::StatusOr<RunRow> CommitRound(const std::string& run, uint64_t round, const RoundEvaluation& evaluation,
                                             const RoundTimes& times, int64_t now_unix_ms) = 0;
  // any open state -> abandoned, with a record of its own.
  virtual absl::StatusOr<RunRow> AbandonRound(const std::string& run, uint64_t round, const Abandonment& why,
                                              int64_t now_unix_ms) = 0;
  // Rows that are open though their client is not active any more become dropped, while the round is not closed.
  // Returns how many did.
  virtual absl::StatusOr<uint64_t> DropRevoked(const std::string& run, uint64_t round) = 0;

  // ---- tasks, receipts, chain
  struct Task {
    std::string run, client_id, client_name;
    uint64_t round = 0;
    std::string round_state, contribution_state, base_model_sha256;
  };
  virtual absl::StatusOr<Task> FindTask(const std::string& task_id) = 0;
  virtual absl::StatusOr<std::optional<v1::Receipt>> FindReceipt(const std::string& task_id) = 0;
  struct Link {
    uint64_t round;
    std::string body_sha256, record_sha256;
  };
  // Records of rounds [from, to], in order; round 0 is genesis. At most 100,000.
  virtual absl::StatusOr<std::vector<Link>> ListLinks(const std::string& run, uint64_t from, uint64_t to) = 0;

  // What came too late or from the wrong place: kept for inspection, changes nothing.
  virtual absl::Status AddEvent(const std::string& run, uint64_t round, const std::string& client_id,
                                const std::string& kind, const std::string& detail, int64_t now_unix_ms) = 0;
  // Operator actions, enrolments, refusals, revocations.
  virtual absl::Status AddAudit(const v1::AuditEntry& entry) = 0;  // sequence is given by the store
  virtual absl::StatusOr<std::vector<v1::AuditEntry>> ListAudit(uint64_t limit) = 0;
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_STORE_H_
