// Contributions: the one way in for an update, its receipt, and every other change to an invited client's row.
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/update/signed_record.h"
#include "server/ledger/ledger_rows.h"
#include "server/ledger/ledger_store.h"

namespace tributary::ledger {
namespace {

using rounds::Acceptance;
using rounds::AcceptResult;
using rounds::ContributionChange;
using rounds::RoundRow;
using storage::Bytes;
using storage::Database;
using storage::Row;
using storage::Transaction;

// One invited client's row together with the round and the client it belongs to.
struct Invited {
  std::string run, client_id, client_name, state, update_sha256, round_state, client_state, base_model_sha256,
      previous_record_sha256;
  uint64_t round = 0, target = 0, accepted = 0;
};

absl::StatusOr<Invited> FindInvited(Database& database, const std::string& task_id) {
  Invited out;
  TRB_ASSIGN_OR_RETURN(
      const bool found,
      database.QueryOne(
          "SELECT c.run_id, c.client_id, c.client_name, c.state, c.update_sha256, r.state, clients.state, "
          "r.base_model_sha256, r.previous_record_sha256, c.round, r.target, r.accepted FROM contributions c "
          "JOIN rounds r ON r.run_id = c.run_id AND r.round = c.round JOIN clients ON clients.id = c.client_id "
          "WHERE c.task_id = ?1",
          {task_id}, [&](const Row& row) {
            out = {row.Text(0), row.Text(1), row.Text(2), row.Text(3), row.Text(4),  row.Text(5),
                   row.Text(6), row.Text(7), row.Text(8), row.Uint(9), row.Uint(10), row.Uint(11)};
          }));
  if (!found) return absl::NotFoundError(absl::StrCat("no task ", EscapeForLog(task_id, 80)));
  return out;
}

// The record was checked against the task before: a difference here is a bug of ours or a changed task.
absl::Status CheckBelongs(const v1::UpdateRecord& record, const Invited& invited) {
  if (record.run_id() == invited.run && record.round() == invited.round && record.client_id() == invited.client_id)
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the record names another run, round or client than task ", EscapeForLog(record.task_id(), 80)));
}

// Issued certificates are kept for good, so a history can be checked later against the one that was good now. The
// client signs anew with its newest certificate whenever it announces an update.
absl::Status CheckCertificate(Database& database, const v1::UpdateRecord& record, int64_t now_unix_ms) {
  int64_t not_before = 0, not_after = 0;
  TRB_ASSIGN_OR_RETURN(const bool found,
                       database.QueryOne("SELECT not_before_unix_ms, not_after_unix_ms FROM certificates "
                                         "WHERE sha256 = ?1 AND client_id = ?2",
                                         {record.certificate_sha256(), record.client_id()}, [&](const Row& row) {
                                           not_before = row.Int(0);
                                           not_after = row.Int(1);
                                         }));
  if (!found) return absl::InvalidArgumentError("the record names a certificate that was not issued to its client");
  if (not_before <= now_unix_ms && now_unix_ms <= not_after) return absl::OkStatus();
  return absl::UnavailableError("the certificate that signed the update is not valid now: sign and announce it again");
}

// Why a new update is not taken; kAccepted when it is.
AcceptResult::Kind Decide(const Invited& invited) {
  using Kind = AcceptResult::Kind;
  if (invited.client_state != "active") return Kind::kNotAllowed;
  if (invited.round_state != "training" || invited.accepted >= invited.target) return Kind::kNotNeeded;
  return IsOpen(invited.state) ? Kind::kAccepted : Kind::kNotNeeded;
}

absl::Status WriteContribution(Database& database, const Acceptance& acceptance, const v1::UpdateMetrics& metrics) {
  const auto optional = [](bool has, double value) { return has ? std::optional<double>(value) : std::nullopt; };
  const v1::UpdateRecord& record = acceptance.record;
  return database.Run(
      "UPDATE contributions SET state = 'accepted', reason = '', examples = ?2, weight = ?3, engine = ?4, "
      "update_sha256 = ?5, update_norm = ?6, train_loss = ?7, validation_loss = ?8, validation_accuracy = ?9, "
      "validation_examples = ?10, bytes_up = bytes_up + ?11, queue_ms = ?12, download_ms = ?13, train_ms = ?14, "
      "upload_ms = ?15, accepted_unix_ms = ?16 WHERE task_id = ?1",
      {record.task_id(), record.examples(), acceptance.weight, metrics.engine(), record.update_sha256(),
       metrics.update_norm(), optional(metrics.has_train_loss(), metrics.train_loss()),
       optional(metrics.has_validation_loss(), metrics.validation_loss()),
       optional(metrics.has_validation_accuracy(), metrics.validation_accuracy()), metrics.validation_examples(),
       record.length(), metrics.queue_ms(), metrics.download_ms(), metrics.train_ms(), acceptance.upload_ms,
       acceptance.now_unix_ms});
}

absl::Status CountAccepted(Database& database, const Acceptance& acceptance, const std::string& engine) {
  const v1::UpdateRecord& record = acceptance.record;
  TRB_RETURN_IF_ERROR(
      database.Run("UPDATE rounds SET accepted = accepted + 1, examples = examples + ?3, bytes_up = bytes_up + ?4 "
                   "WHERE run_id = ?1 AND round = ?2",
                   {record.run_id(), record.round(), acceptance.weight, record.length()}));
  if (engine.empty()) return absl::OkStatus();
  return database.Run("INSERT OR IGNORE INTO run_engines (run_id, engine) VALUES (?1, ?2)", {record.run_id(), engine});
}

absl::Status AddBytes(Database& database, const std::string& run, uint64_t round, const std::string& client_id,
                      const ContributionChange& change) {
  const uint64_t up = change.add_bytes_up.value_or(0), down = change.add_bytes_down.value_or(0);
  if (up == 0 && down == 0) return absl::OkStatus();
  TRB_RETURN_IF_ERROR(
      database.Run("UPDATE contributions SET bytes_up = bytes_up + ?4, bytes_down = bytes_down + ?5 "
                   "WHERE run_id = ?1 AND round = ?2 AND client_id = ?3",
                   {run, round, client_id, up, down}));
  return database.Run(
      "UPDATE rounds SET bytes_up = bytes_up + ?3, bytes_down = bytes_down + ?4 WHERE run_id = ?1 AND round = ?2",
      {run, round, up, down});
}

std::string Describe(const ContributionChange& change) {
  std::string out;
  if (change.state) absl::StrAppend(&out, "state=", *change.state, " ");
  if (change.reason) absl::StrAppend(&out, "reason=", *change.reason, " ");
  if (change.add_bytes_up) absl::StrAppend(&out, "bytes_up=", *change.add_bytes_up, " ");
  if (change.add_bytes_down) absl::StrAppend(&out, "bytes_down=", *change.add_bytes_down, " ");
  if (!out.empty()) out.pop_back();
  return out;
}

}  // namespace

// Makes, signs and stores the receipt of an update whose acceptance has been decided. Inside a transaction.
absl::StatusOr<v1::Receipt> LedgerStore::StoreUpdate(const Acceptance& acceptance, const std::string& previous_record) {
  v1::UpdateMetrics metrics;
  if (!metrics.ParseFromString(acceptance.metrics_bytes))
    return absl::InvalidArgumentError("the metrics are not an UpdateMetrics message");
  v1::Receipt receipt;
  *receipt.mutable_record() = acceptance.record;
  receipt.set_previous_record_sha256(previous_record);
  receipt.set_accepted_unix_ms(acceptance.now_unix_ms);
  TRB_ASSIGN_OR_RETURN(const std::string signature, options_.signer.sign(update::CanonicalBytes(receipt)));
  receipt.set_signature(signature);

  const v1::UpdateRecord& record = acceptance.record;
  TRB_RETURN_IF_ERROR(WriteContribution(database(), acceptance, metrics));
  TRB_RETURN_IF_ERROR(database().Run(
      "INSERT INTO updates (task_id, run_id, round, client_id, certificate_sha256, update_sha256, record, signature, "
      "metrics, receipt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
      {record.task_id(), record.run_id(), record.round(), record.client_id(), record.certificate_sha256(),
       record.update_sha256(), Bytes{record.SerializeAsString()}, Bytes{acceptance.signature},
       Bytes{acceptance.metrics_bytes}, Bytes{receipt.SerializeAsString()}}));
  TRB_RETURN_IF_ERROR(CountAccepted(database(), acceptance, metrics.engine()));
  // Wanted again: a deletion that is noted but not done yet must not take it.
  TRB_RETURN_IF_ERROR(database().Run("DELETE FROM deleted_blobs WHERE sha256 = ?1", {record.update_sha256()}));
  return receipt;
}

absl::StatusOr<AcceptResult> LedgerStore::AcceptUpdate(const Acceptance& acceptance) {
  const v1::UpdateRecord& record = acceptance.record;
  TRB_ASSIGN_OR_RETURN(auto transaction, Transaction::Begin(database()));
  TRB_ASSIGN_OR_RETURN(const Invited invited, FindInvited(database(), record.task_id()));
  TRB_RETURN_IF_ERROR(CheckBelongs(record, invited));
  AcceptResult result;
  result.accepted = invited.accepted;
  if (invited.state == "accepted") {
    const bool same = invited.update_sha256 == record.update_sha256();
    result.kind = same ? AcceptResult::Kind::kDuplicate : AcceptResult::Kind::kConflict;
    if (same) {
      TRB_ASSIGN_OR_RETURN(const auto receipt, FindReceipt(record.task_id()));
      if (!receipt) return absl::DataLossError(absl::StrCat("the receipt of task ", record.task_id(), " is gone"));
      result.receipt = *receipt;
    }
  } else {
    result.kind = Decide(invited);
  }
  if (result.kind == AcceptResult::Kind::kAccepted) {
    if (options_.blobs != nullptr && !options_.blobs->Contains(record.update_sha256()))
      return absl::UnavailableError("the update's bytes are not here (any more): upload them again");
    TRB_RETURN_IF_ERROR(CheckCertificate(database(), record, acceptance.now_unix_ms));
    TRB_ASSIGN_OR_RETURN(result.receipt, StoreUpdate(acceptance, invited.previous_record_sha256));
    TRB_RETURN_IF_ERROR(transaction->Commit());
    ++result.accepted;
    return result;
  }
  transaction.reset();
  if (result.kind != AcceptResult::Kind::kDuplicate) DropRefusedBlob(record.update_sha256());
  return result;
}

absl::Status LedgerStore::ChangeContribution(const std::string& run, uint64_t round, const std::string& client_id,
                                             const ContributionChange& change, int64_t now_unix_ms) {
  Database& db = database();
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(db));
  TRB_ASSIGN_OR_RETURN(const RoundRow row, SelectRound(db, run, round));
  std::string state;
  TRB_ASSIGN_OR_RETURN(
      const bool found,
      db.QueryOne("SELECT state FROM contributions WHERE run_id = ?1 AND round = ?2 AND client_id = ?3",
                  {run, round, client_id}, [&](const Row& r) { state = r.Text(0); }));
  if (!found)
    return absl::NotFoundError(
        absl::StrCat("client ", EscapeForLog(client_id, 80), " was not invited to round ", round, " of run ", run));
  if (change.state == "accepted")
    return absl::InvalidArgumentError("a contribution is accepted through AcceptUpdate only");
  const bool frozen = IsClosed(row.round.state());
  if (!frozen) TRB_RETURN_IF_ERROR(AddBytes(db, run, round, client_id, change));
  if (!frozen && IsOpen(state)) {
    TRB_RETURN_IF_ERROR(
        db.Run("UPDATE contributions SET state = ifnull(?4, state), reason = ifnull(?5, reason) "
               "WHERE run_id = ?1 AND round = ?2 AND client_id = ?3",
               {run, round, client_id, change.state, change.reason}));
  } else if (frozen || change.state || change.reason) {
    TRB_RETURN_IF_ERROR(AddEvent(run, round, client_id, "late_change", Describe(change), now_unix_ms));
  }
  return transaction->Commit();
}

absl::StatusOr<LedgerStore::Task> LedgerStore::FindTask(const std::string& task_id) {
  TRB_ASSIGN_OR_RETURN(const Invited invited, FindInvited(database(), task_id));
  Task task;
  task.run = invited.run;
  task.client_id = invited.client_id;
  task.client_name = invited.client_name;
  task.round = invited.round;
  task.round_state = invited.round_state;
  task.contribution_state = invited.state;
  task.base_model_sha256 = invited.base_model_sha256;
  return task;
}

absl::StatusOr<std::optional<v1::Receipt>> LedgerStore::FindReceipt(const std::string& task_id) {
  std::string bytes;
  TRB_ASSIGN_OR_RETURN(const bool found, database().QueryOne("SELECT receipt FROM updates WHERE task_id = ?1",
                                                             {task_id}, [&](const Row& row) { bytes = row.Text(0); }));
  if (!found) return std::optional<v1::Receipt>();
  v1::Receipt receipt;
  if (!receipt.ParseFromString(bytes))
    return absl::DataLossError(absl::StrCat("the receipt of task ", EscapeForLog(task_id, 80), " cannot be read"));
  return std::optional<v1::Receipt>(std::move(receipt));
}

}  // namespace tributary::ledger
