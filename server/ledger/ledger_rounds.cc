// Rounds: every arrow of the state machine is one transaction here, and refuses to start from any other state.
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/history/best_round.h"
#include "server/ledger/history.h"
#include "server/ledger/ledger_rows.h"
#include "server/ledger/ledger_store.h"

namespace tributary::ledger {
namespace {

using rounds::Invitee;
using rounds::RoundRow;
using rounds::RoundTimes;
using rounds::RunRow;
using storage::Args;
using storage::Database;
using storage::Transaction;

// Every round that is closed names the newest row of the audit: what goes before it is sealed with the record.
constexpr const char* kAuditHead = "ifnull((SELECT entry_sha256 FROM audit ORDER BY sequence DESC LIMIT 1), '')";

constexpr const char* kOpenRound = "WHERE run_id = ?1 AND state NOT IN ('committed', 'abandoned')";

absl::Status WrongState(const RoundRow& round, std::string_view wanted) {
  return absl::FailedPreconditionError(absl::StrCat("round ", round.round.round(), " is ", round.round.state(),
                                                    ": it cannot become ", std::string(wanted)));
}

// Runs an UPDATE that asks for the state it starts from. Says why when it found no such row.
absl::Status Advance(Database& database, const std::string& run, uint64_t round, std::string_view wanted,
                     std::string_view sql, const Args& args) {
  TRB_ASSIGN_OR_RETURN(const int64_t changed, database.Change(sql, args));
  if (changed == 1) return absl::OkStatus();
  TRB_ASSIGN_OR_RETURN(const RoundRow row, SelectRound(database, run, round));
  return WrongState(row, wanted);
}

absl::Status CloseOpenRows(Database& database, const std::string& run, uint64_t round, const std::string& become,
                           const std::string& reason) {
  if (become == "accepted" || IsOpen(become))
    return absl::InvalidArgumentError(absl::StrCat("open rows cannot become ", become));
  return database.Run(
      "UPDATE contributions SET state = ?3, reason = ?4 "
      "WHERE run_id = ?1 AND round = ?2 AND state IN ('invited', 'accepted_task')",
      {run, round, become, reason});
}

absl::Status InsertInvitee(Database& database, const std::string& run, uint64_t round, const Invitee& invitee) {
  return database.Run(
      "INSERT INTO contributions (run_id, round, client_id, client_name, task_id, state) "
      "VALUES (?1, ?2, ?3, ?4, ?5, 'invited')",
      {run, round, invitee.client_id, invitee.name, invitee.task_id});
}

absl::Status WriteEvaluation(Database& database, const std::string& run, uint64_t round,
                             const rounds::RoundEvaluation& evaluation, const RoundTimes& times, int64_t now_unix_ms) {
  return Advance(
      database, run, round, "committed",
      absl::StrCat("UPDATE rounds SET audit_sha256 = ", kAuditHead,
                   ", state = 'committed', reason = ?3, test_loss = ?4, test_accuracy = ?5, "
                   "test_f1 = ?6, test_precision = ?7, test_recall = ?8, evaluate_ms = ?9, "
                   "select_ms = max(select_ms, ?10), train_ms = max(train_ms, ?11), total_ms = ?12, overhead_ms = ?13, "
                   "closed_unix_ms = ?14 WHERE run_id = ?1 AND round = ?2 AND state = 'evaluating'"),
      {run, round, evaluation.failure, evaluation.test_loss, evaluation.test_accuracy, evaluation.test_f1,
       evaluation.test_precision, evaluation.test_recall, evaluation.evaluate_ms, times.select_ms, times.train_ms,
       times.total_ms, times.overhead_ms, now_unix_ms});
}

// Whether the round just committed is the run's best so far.
absl::StatusOr<bool> IsBest(Database& database, const RunRow& run, const v1::Round& round) {
  if (!run.run.has_best_round()) return true;
  TRB_ASSIGN_OR_RETURN(const RoundRow best, SelectRound(database, run.run.id(), run.run.best_round()));
  return history::IsBetterRound(round, best.round);
}

}  // namespace

absl::StatusOr<RoundRow> LedgerStore::OpenRound(const std::string& run, int64_t now_unix_ms) {
  Database& db = database();
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(db));
  TRB_ASSIGN_OR_RETURN(const RunRow row, SelectRun(db, run));
  if (!IsActive(row.run.state()))
    return absl::FailedPreconditionError(absl::StrCat("run ", run, " is ", row.run.state()));
  TRB_ASSIGN_OR_RETURN(const auto open, GetOpenRound(run));
  if (open) return absl::FailedPreconditionError(absl::StrCat("round ", open->round.round(), " is still open"));
  TRB_ASSIGN_OR_RETURN(const int64_t last,
                       db.QueryInt("SELECT ifnull(max(round), 0) FROM rounds WHERE run_id = ?1", {run}));
  TRB_RETURN_IF_ERROR(
      db.Run("INSERT INTO rounds (run_id, round, state, previous_record_sha256, base_model_sha256, started_unix_ms) "
             "VALUES (?1, ?2, 'selecting', ?3, ?4, ?5)",
             {run, last + 1, row.run.head_sha256(), row.run.model_sha256(), now_unix_ms}));
  TRB_ASSIGN_OR_RETURN(RoundRow round, SelectRound(db, run, static_cast<uint64_t>(last + 1)));
  TRB_RETURN_IF_ERROR(transaction->Commit());
  return round;
}

absl::StatusOr<std::optional<RoundRow>> LedgerStore::GetOpenRound(const std::string& run) {
  TRB_ASSIGN_OR_RETURN(std::vector<RoundRow> rows, SelectRounds(database(), kOpenRound, {run}));
  if (rows.empty()) return std::optional<RoundRow>();
  return std::optional<RoundRow>(std::move(rows[0]));
}

absl::StatusOr<RoundRow> LedgerStore::GetRound(const std::string& run, uint64_t round) {
  return SelectRound(database(), run, round);
}

absl::StatusOr<std::vector<RoundRow>> LedgerStore::ListRounds(const std::string& run) {
  return SelectRounds(database(), "WHERE run_id = ?1 ORDER BY round", {run});
}

absl::StatusOr<std::vector<RoundRow>> LedgerStore::ListNewestRounds(const std::string& run, uint64_t before,
                                                                    uint64_t limit) {
  constexpr uint64_t kEnd = std::numeric_limits<int64_t>::max();
  return SelectRounds(database(), "WHERE run_id = ?1 AND round < ?2 ORDER BY round DESC LIMIT ?3",
                      {run, before == 0 ? kEnd : std::min(before, kEnd), std::min(limit, kEnd)});
}

absl::StatusOr<std::vector<v1::Contribution>> LedgerStore::ListContributions(const std::string& run, uint64_t round) {
  return SelectContributions(database(), "WHERE run_id = ?1 AND round = ?2 ORDER BY client_name", {run, round});
}

absl::StatusOr<std::vector<v1::Contribution>> LedgerStore::ListClientContributions(const std::string& client_id,
                                                                                   uint64_t limit) {
  constexpr uint64_t kMost = std::numeric_limits<int32_t>::max();
  return SelectContributions(database(), "WHERE client_id = ?1 ORDER BY sequence DESC LIMIT ?2",
                             {client_id, std::min(limit, kMost)});
}

absl::Status LedgerStore::CommitInvitations(const std::string& run, uint64_t round, uint64_t target,
                                            const std::vector<Invitee>& invited, uint64_t select_ms) {
  Database& db = database();
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(db));
  TRB_RETURN_IF_ERROR(Advance(db, run, round, "training",
                              "UPDATE rounds SET state = 'training', target = ?3, invited = ?4, select_ms = ?5, "
                              "selecting_elapsed_ms = max(selecting_elapsed_ms, ?5) "
                              "WHERE run_id = ?1 AND round = ?2 AND state = 'selecting'",
                              {run, round, target, invited.size(), select_ms}));
  for (const Invitee& invitee : invited) TRB_RETURN_IF_ERROR(InsertInvitee(db, run, round, invitee));
  return transaction->Commit();
}

absl::Status LedgerStore::SaveElapsed(const std::string& run, uint64_t round, uint64_t selecting_ms,
                                      uint64_t training_ms) {
  return Advance(database(), run, round, "any older",
                 "UPDATE rounds SET selecting_elapsed_ms = ?3, training_elapsed_ms = ?4 "
                 "WHERE run_id = ?1 AND round = ?2 AND state NOT IN ('committed', 'abandoned')",
                 {run, round, selecting_ms, training_ms});
}

absl::Status LedgerStore::BeginAggregating(const std::string& run, uint64_t round, const std::string& open_rows_become,
                                           const std::string& reason, uint64_t train_ms) {
  Database& db = database();
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(db));
  TRB_RETURN_IF_ERROR(Advance(db, run, round, "aggregating",
                              "UPDATE rounds SET state = 'aggregating', train_ms = ?3, "
                              "training_elapsed_ms = max(training_elapsed_ms, ?3) "
                              "WHERE run_id = ?1 AND round = ?2 AND state = 'training'",
                              {run, round, train_ms}));
  TRB_RETURN_IF_ERROR(CloseOpenRows(db, run, round, open_rows_become, reason));
  return transaction->Commit();
}

absl::Status LedgerStore::BeginEvaluating(const std::string& run, uint64_t round, const rounds::RoundResult& result) {
  Database& db = database();
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(db));
  TRB_ASSIGN_OR_RETURN(const RoundRow row, SelectRound(db, run, round));
  if (row.round.state() != "aggregating") return WrongState(row, "evaluating");
  if (row.round.examples() != result.examples)
    return absl::InvalidArgumentError(absl::StrCat("round ", round, ": aggregated ", result.examples,
                                                   " examples, but the accepted updates weigh ", row.round.examples()));
  TRB_RETURN_IF_ERROR(
      Advance(db, run, round, "evaluating",
              "UPDATE rounds SET state = 'evaluating', model_sha256 = ?3, train_loss = ?4, "
              "validation_loss = ?5, validation_accuracy = ?6, model_norm = ?7, aggregate_ms = ?8 "
              "WHERE run_id = ?1 AND round = ?2 AND state = 'aggregating'",
              {run, round, result.new_model_sha256, result.means.train_loss, result.means.validation_loss,
               result.means.validation_accuracy, result.model_norm, result.aggregate_ms}));
  return transaction->Commit();
}

absl::StatusOr<RunRow> LedgerStore::CommitRound(const std::string& run, uint64_t round,
                                                const rounds::RoundEvaluation& evaluation, const RoundTimes& times,
                                                int64_t now_unix_ms) {
  Database& db = database();
  TRB_ASSIGN_OR_RETURN(auto transaction, Transaction::Begin(db));
  TRB_ASSIGN_OR_RETURN(const RunRow before, SelectRun(db, run));
  TRB_RETURN_IF_ERROR(WriteEvaluation(db, run, round, evaluation, times, now_unix_ms));
  TRB_ASSIGN_OR_RETURN(const RoundRow row, SelectRound(db, run, round));
  TRB_ASSIGN_OR_RETURN(const std::string record, AppendRecord(run, round, row.previous_record_sha256));
  TRB_ASSIGN_OR_RETURN(const bool best, IsBest(db, before, row.round));
  TRB_RETURN_IF_ERROR(
      db.Run("UPDATE runs SET rounds_done = rounds_done + 1, model_sha256 = ?2, head_sha256 = ?3, "
             "best_round = CASE WHEN ?4 THEN ?5 ELSE best_round END, abandoned_in_a_row = 0 WHERE id = ?1",
             {run, row.round.model_sha256(), record, best, round}));
  TRB_ASSIGN_OR_RETURN(RunRow after, SelectRun(db, run));
  TRB_RETURN_IF_ERROR(transaction->Commit());
  TidyUpdates(run, round, now_unix_ms);
  return after;
}

// The transition itself, inside a transaction of the caller's.
absl::Status LedgerStore::AbandonInside(const std::string& run, uint64_t round, const rounds::Abandonment& why,
                                        int64_t now_unix_ms) {
  Database& db = database();
  TRB_ASSIGN_OR_RETURN(const RoundRow row, SelectRound(db, run, round));
  if (IsClosed(row.round.state())) return WrongState(row, "abandoned");
  if (why.accepted && *why.accepted != row.round.accepted()) {
    return absl::AbortedError(absl::StrCat("round ", round, " has ", row.round.accepted(), " updates by now, not the ",
                                           *why.accepted, " that it was judged by"));
  }
  TRB_RETURN_IF_ERROR(CloseOpenRows(db, run, round, why.open_rows_become, why.reason));
  TRB_RETURN_IF_ERROR(
      Advance(db, run, round, "abandoned",
              absl::StrCat("UPDATE rounds SET audit_sha256 = ", kAuditHead,
                           ", state = 'abandoned', reason = ?3, model_sha256 = base_model_sha256, "
                           "select_ms = max(select_ms, ?4), train_ms = max(train_ms, ?5), total_ms = ?6, "
                           "overhead_ms = ?7, closed_unix_ms = ?8 WHERE run_id = ?1 AND round = ?2"),
              {run, round, why.reason, why.times.select_ms, why.times.train_ms, why.times.total_ms,
               why.times.overhead_ms, now_unix_ms}));
  TRB_ASSIGN_OR_RETURN(const std::string record, AppendRecord(run, round, row.previous_record_sha256));
  return db.Run("UPDATE runs SET head_sha256 = ?2, abandoned_in_a_row = abandoned_in_a_row + 1 WHERE id = ?1",
                {run, record});
}

absl::StatusOr<RunRow> LedgerStore::AbandonRound(const std::string& run, uint64_t round, const rounds::Abandonment& why,
                                                 int64_t now_unix_ms) {
  Database& db = database();
  TRB_ASSIGN_OR_RETURN(auto transaction, Transaction::Begin(db));
  TRB_RETURN_IF_ERROR(AbandonInside(run, round, why, now_unix_ms));
  TRB_ASSIGN_OR_RETURN(RunRow after, SelectRun(db, run));
  TRB_RETURN_IF_ERROR(transaction->Commit());
  TidyUpdates(run, round, now_unix_ms);
  return after;
}

absl::StatusOr<uint64_t> LedgerStore::DropRevoked(const std::string& run, uint64_t round) {
  TRB_ASSIGN_OR_RETURN(
      const int64_t dropped,
      database().Change("UPDATE contributions SET state = 'dropped', reason = 'revoked: the client is not active' "
                        "WHERE run_id = ?1 AND round = ?2 AND state IN ('invited', 'accepted_task') AND "
                        "NOT EXISTS (SELECT 1 FROM clients WHERE id = client_id AND clients.state = 'active') AND "
                        "(SELECT state FROM rounds WHERE run_id = ?1 AND round = ?2) NOT IN ('committed', 'abandoned')",
                        {run, round}));
  return static_cast<uint64_t>(dropped);
}

}  // namespace tributary::ledger
