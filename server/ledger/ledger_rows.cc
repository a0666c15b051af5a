#include "server/ledger/ledger_rows.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"

namespace tributary::ledger {
namespace {

using rounds::RoundRow;
using rounds::RunRow;
using storage::Args;
using storage::Database;
using storage::Row;

constexpr const char* kRunSelect =
    "SELECT id, name, state, reason, rounds_done, rounds_total, best_round, seed, plan, plan_sha256, "
    "initial_model_sha256, model_sha256, genesis_sha256, head_sha256, receipt_certificate_pem, abandoned_in_a_row, "
    "stalled_ms, created_unix_ms, ended_unix_ms FROM runs ";
// The record's digest comes from its own index: the records' bodies are large and not read.
constexpr const char* kRoundSelect =
    "SELECT round, state, reason, previous_record_sha256, base_model_sha256, model_sha256, "
    "ifnull((SELECT record_sha256 FROM records INDEXED BY records_links WHERE records.run_id = rounds.run_id AND "
    "records.round = rounds.round), ''), "
    "target, invited, accepted, examples, train_loss, validation_loss, validation_accuracy, test_loss, test_accuracy, "
    "test_f1, test_precision, test_recall, model_norm, bytes_up, bytes_down, select_ms, train_ms, aggregate_ms, "
    "evaluate_ms, total_ms, overhead_ms, started_unix_ms, selecting_elapsed_ms, training_elapsed_ms FROM rounds ";
constexpr const char* kContributionSelect =
    "SELECT round, client_name, client_id, task_id, state, reason, examples, weight, engine, update_sha256, "
    "update_norm, train_loss, validation_loss, validation_accuracy, bytes_up, bytes_down, queue_ms, download_ms, "
    "train_ms, upload_ms, accepted_unix_ms FROM contributions ";

RunRow ReadRun(const Row& row) {
  RunRow out;
  int i = 0;
  out.run.set_id(row.Text(i++));
  out.run.set_name(row.Text(i++));
  out.run.set_state(row.Text(i++));
  out.run.set_reason(row.Text(i++));
  out.run.set_rounds_done(row.Uint(i++));
  out.run.set_rounds_total(row.Uint(i++));
  if (!row.IsNull(i)) out.run.set_best_round(row.Uint(i));
  ++i;
  uint64_t seed = 0;
  if (absl::SimpleAtoi(row.Text(i++), &seed)) out.run.set_seed(seed);
  out.plan_bytes = row.Text(i++);
  out.run.set_plan_sha256(row.Text(i++));
  out.run.set_initial_model_sha256(row.Text(i++));
  out.run.set_model_sha256(row.Text(i++));
  out.run.set_genesis_sha256(row.Text(i++));
  out.run.set_head_sha256(row.Text(i++));
  out.receipt_certificate_pem = row.Text(i++);
  out.abandoned_in_a_row = static_cast<uint32_t>(row.Uint(i++));
  out.stalled_ms = row.Uint(i++);
  out.run.set_created_unix_ms(row.Int(i++));
  out.run.set_ended_unix_ms(row.Int(i++));
  return out;
}

// Calls the setter unless the column is NULL: not measured stays absent.
template <class Message>
void SetReal(const Row& row, int column, Message* message, void (Message::*setter)(double)) {
  if (!row.IsNull(column)) (message->*setter)(row.Real(column));
}

void ReadRoundMetrics(const Row& row, int i, v1::Round* out) {
  SetReal(row, i++, out, &v1::Round::set_train_loss);
  SetReal(row, i++, out, &v1::Round::set_validation_loss);
  SetReal(row, i++, out, &v1::Round::set_validation_accuracy);
  SetReal(row, i++, out, &v1::Round::set_test_loss);
  SetReal(row, i++, out, &v1::Round::set_test_accuracy);
  SetReal(row, i++, out, &v1::Round::set_test_f1);
  SetReal(row, i++, out, &v1::Round::set_test_precision);
  SetReal(row, i++, out, &v1::Round::set_test_recall);
  SetReal(row, i++, out, &v1::Round::set_model_norm);
}

RoundRow ReadRound(const Row& row) {
  RoundRow out;
  int i = 0;
  out.round.set_round(row.Uint(i++));
  out.round.set_state(row.Text(i++));
  out.round.set_reason(row.Text(i++));
  out.previous_record_sha256 = row.Text(i++);
  out.round.set_base_model_sha256(row.Text(i++));
  out.round.set_model_sha256(row.Text(i++));
  out.round.set_record_sha256(row.Text(i++));
  out.target = row.Uint(i++);
  out.round.set_invited(row.Uint(i++));
  out.round.set_accepted(row.Uint(i++));
  out.round.set_examples(row.Uint(i++));
  ReadRoundMetrics(row, i, &out.round);
  i += 9;
  out.round.set_bytes_up(row.Uint(i++));
  out.round.set_bytes_down(row.Uint(i++));
  out.round.set_select_ms(row.Uint(i++));
  out.round.set_train_ms(row.Uint(i++));
  out.round.set_aggregate_ms(row.Uint(i++));
  out.round.set_evaluate_ms(row.Uint(i++));
  out.round.set_total_ms(row.Uint(i++));
  if (!row.IsNull(i)) out.round.set_overhead_ms(row.Uint(i));
  ++i;
  out.round.set_started_unix_ms(row.Int(i++));
  out.selecting_elapsed_ms = row.Uint(i++);
  out.training_elapsed_ms = row.Uint(i++);
  return out;
}

v1::Contribution ReadContribution(const Row& row) {
  v1::Contribution out;
  int i = 0;
  out.set_round(row.Uint(i++));
  out.set_client(row.Text(i++));
  out.set_client_id(row.Text(i++));
  out.set_task_id(row.Text(i++));
  out.set_state(row.Text(i++));
  out.set_reason(row.Text(i++));
  out.set_examples(row.Uint(i++));
  out.set_weight(row.Uint(i++));
  out.set_engine(row.Text(i++));
  out.set_update_sha256(row.Text(i++));
  SetReal(row, i++, &out, &v1::Contribution::set_update_norm);
  SetReal(row, i++, &out, &v1::Contribution::set_train_loss);
  SetReal(row, i++, &out, &v1::Contribution::set_validation_loss);
  SetReal(row, i++, &out, &v1::Contribution::set_validation_accuracy);
  out.set_bytes_up(row.Uint(i++));
  out.set_bytes_down(row.Uint(i++));
  out.set_queue_ms(row.Uint(i++));
  out.set_download_ms(row.Uint(i++));
  out.set_train_ms(row.Uint(i++));
  out.set_upload_ms(row.Uint(i++));
  out.set_accepted_unix_ms(row.Int(i++));
  return out;
}

template <class T>
absl::StatusOr<std::vector<T>> Collect(Database& database, const char* select, std::string_view rest, const Args& args,
                                       T (*read)(const Row&)) {
  std::vector<T> rows;
  TRB_RETURN_IF_ERROR(database.Query(absl::StrCat(select, std::string(rest)), args, [&](const Row& row) {
    rows.push_back(read(row));
    return absl::OkStatus();
  }));
  return rows;
}

}  // namespace

absl::StatusOr<std::vector<RunRow>> SelectRuns(Database& database, std::string_view rest, const Args& args) {
  TRB_ASSIGN_OR_RETURN(std::vector<RunRow> rows, Collect(database, kRunSelect, rest, args, &ReadRun));
  for (RunRow& row : rows) {
    TRB_RETURN_IF_ERROR(database.Query("SELECT engine FROM run_engines WHERE run_id = ?1 ORDER BY engine",
                                       {row.run.id()}, [&](const Row& engine) {
                                         row.run.add_engines(engine.Text(0));
                                         return absl::OkStatus();
                                       }));
  }
  return rows;
}

absl::StatusOr<std::vector<RoundRow>> SelectRounds(Database& database, std::string_view rest, const Args& args) {
  return Collect(database, kRoundSelect, rest, args, &ReadRound);
}

absl::StatusOr<std::vector<v1::Contribution>> SelectContributions(Database& database, std::string_view rest,
                                                                  const Args& args) {
  return Collect(database, kContributionSelect, rest, args, &ReadContribution);
}

absl::StatusOr<RunRow> SelectRun(Database& database, const std::string& id) {
  TRB_ASSIGN_OR_RETURN(std::vector<RunRow> rows, SelectRuns(database, "WHERE id = ?1", {id}));
  if (rows.empty()) return absl::NotFoundError(absl::StrCat("no run ", EscapeForLog(id, 80)));
  return std::move(rows[0]);
}

absl::StatusOr<RoundRow> SelectRound(Database& database, const std::string& run, uint64_t round) {
  TRB_ASSIGN_OR_RETURN(std::vector<RoundRow> rows,
                       SelectRounds(database, "WHERE run_id = ?1 AND round = ?2", {run, round}));
  if (rows.empty()) return absl::NotFoundError(absl::StrCat("no round ", round, " in run ", EscapeForLog(run, 80)));
  return std::move(rows[0]);
}

}  // namespace tributary::ledger
