#include "client/session/client_ledger.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/session/client_ledger_schema.h"
#include "common/storage/migrations.h"

namespace tributary::session {
namespace {

using storage::Bytes;
using storage::Database;
using storage::Row;
using storage::Transaction;

constexpr std::array<std::pair<TaskState, const char*>, 8> kStateNames = {{{TaskState::kQueued, "queued"},
                                                                           {TaskState::kTraining, "training"},
                                                                           {TaskState::kFinished, "finished"},
                                                                           {TaskState::kDone, "done"},
                                                                           {TaskState::kDropped, "dropped"},
                                                                           {TaskState::kDeclined, "declined"},
                                                                           {TaskState::kFailed, "failed"},
                                                                           {TaskState::kRejected, "rejected"}}};

TaskState StateFromName(const std::string& name) {
  for (const auto& [state, text] : kStateNames)
    if (name == text) return state;
  return TaskState::kDropped;
}

constexpr int64_t kAcceptancesKeptMs = int64_t{48} * 3'600'000;
constexpr int64_t kUnusedKept = 1000;
constexpr int64_t kDroppedLookedAtEvery = 256;  // tasks: it reads all rows of that state

constexpr char kTaskColumns[] =
    "task_id, run_id, run_name, round, state, code, reason, message, received_unix_ms, starts";

absl::StatusOr<TaskRow> ReadTask(const Row& row, const std::string& path) {
  TaskRow out;
  const std::string message = row.Text(7);
  if (!message.empty() && !out.task.ParseFromString(message))
    return absl::DataLossError(absl::StrCat(path, ": task ", row.Text(0), " cannot be read"));
  out.task.set_task_id(row.Text(0));
  out.task.set_run_id(row.Text(1));
  out.task.set_run_name(row.Text(2));
  out.task.set_round(row.Uint(3));
  out.state = StateFromName(row.Text(4));
  out.code = row.Text(5);
  out.reason = row.Text(6);
  out.received_unix_ms = row.Int(8);
  out.starts = row.Uint(9);
  return out;
}

constexpr char kRunColumns[] =
    "run_id, run_name, genesis_sha256, round, previous_record_sha256, receipt_certificate_pem, base_model_sha256, "
    "plan_sha256";

RunMemory ReadRun(const Row& row) {
  return {row.Text(0), row.Text(1), row.Text(2), row.Uint(3), row.Text(4), row.Text(5), row.Text(6), row.Text(7)};
}

absl::StatusOr<OutboxEntry> ReadOutbox(const Row& row, const std::string& path) {
  OutboxEntry entry;
  if (!entry.record.ParseFromString(row.Text(0)))
    return absl::DataLossError(absl::StrCat(path, ": an outbox row cannot be read"));
  entry.signature = row.Text(1);
  entry.metrics = row.Text(2);
  return entry;
}

absl::Status RequireOne(const absl::StatusOr<int64_t>& changed, const std::string& task_id) {
  if (!changed.ok()) return changed.status();
  if (*changed != 1) return absl::NotFoundError(absl::StrCat("no such task here: ", task_id));
  return absl::OkStatus();
}

}  // namespace

const char* TaskStateName(TaskState state) {
  for (const auto& [known, text] : kStateNames)
    if (known == state) return text;
  return "unknown";
}

bool IsHeld(TaskState state) {
  return state == TaskState::kQueued || state == TaskState::kTraining || state == TaskState::kFinished;
}

absl::StatusOr<std::unique_ptr<ClientLedger>> ClientLedger::Open(const std::string& directory) {
  Database::Options options;
  options.way_out = "move it away: a new one is made, but this client then no longer remembers what it sent";
  TRB_ASSIGN_OR_RETURN(auto db, Database::Open(directory + "/client.db", options));
  TRB_RETURN_IF_ERROR(storage::Migrate(*db, kClientMigrations));
  return std::unique_ptr<ClientLedger>(new ClientLedger(std::move(db)));
}

absl::StatusOr<std::unique_ptr<ClientLedger>> ClientLedger::OpenReadOnly(const std::string& directory) {
  TRB_ASSIGN_OR_RETURN(auto db, Database::Open(directory + "/client.db", true));
  TRB_RETURN_IF_ERROR(storage::RequireNewestSchema(*db, kClientMigrations));
  return std::unique_ptr<ClientLedger>(new ClientLedger(std::move(db)));
}

absl::StatusOr<std::optional<RunMemory>> ClientLedger::FindRun(const std::string& run_id) {
  std::optional<RunMemory> run;
  TRB_RETURN_IF_ERROR(db_->QueryOne(absl::StrCat("SELECT ", kRunColumns, " FROM runs WHERE run_id = ?1"), {run_id},
                                    [&run](const Row& row) { run = ReadRun(row); })
                          .status());
  return run;
}

absl::StatusOr<std::vector<RunMemory>> ClientLedger::Runs(size_t limit) {
  std::vector<RunMemory> runs;
  TRB_RETURN_IF_ERROR(
      db_->Query(absl::StrCat("SELECT ", kRunColumns, " FROM runs ORDER BY seen_unix_ms DESC, run_id LIMIT ?1"),
                 {limit}, [&runs](const Row& row) {
                   runs.push_back(ReadRun(row));
                   return absl::OkStatus();
                 }));
  return runs;
}

absl::Status ClientLedger::CountAccepted(const std::string& task_id, int64_t now_unix_ms) {
  TRB_RETURN_IF_ERROR(
      db_->Run("DELETE FROM acceptances WHERE accepted_unix_ms < ?1", {now_unix_ms - kAcceptancesKeptMs}));
  return db_->Run("INSERT INTO acceptances (task_id, accepted_unix_ms) VALUES (?1, ?2)", {task_id, now_unix_ms});
}

// Declining costs a coordinator nothing, nor does cancelling what was taken: whoever offers tasks without end must not
// fill this disk. What nothing was sent for is forgotten in the end, and with it a run of which nothing else is known;
// offered again it is looked at afresh.
absl::Status ClientLedger::ForgetOld(int64_t now_unix_ms) {
  TRB_ASSIGN_OR_RETURN(
      int64_t forgotten,
      db_->Change(
          "DELETE FROM tasks WHERE state = 'declined' AND accepted = 0 AND sequence < (SELECT sequence FROM tasks "
          "WHERE state = 'declined' AND accepted = 0 ORDER BY sequence DESC LIMIT 1 OFFSET ?1)",
          {kUnusedKept - 1}));
  TRB_ASSIGN_OR_RETURN(const int64_t newest, db_->QueryInt("SELECT max(sequence) FROM tasks", {}));
  if (newest % kDroppedLookedAtEvery == 0) {
    TRB_ASSIGN_OR_RETURN(
        const int64_t dropped,
        // What was given up lately is still asked for (GaveUpTaskOf).
        db_->Change("DELETE FROM tasks WHERE (state = 'dropped' OR (state = 'declined' AND accepted = 1) OR "
                    "(state = 'failed' AND (starts < 2 OR received_unix_ms < ?2))) AND sequence <= ?1 AND "
                    "NOT EXISTS (SELECT 1 FROM sent "
                    "WHERE kind IN ('metrics', 'delta') AND sent.task_id = tasks.task_id)",
                    {newest - kUnusedKept, now_unix_ms - kAcceptancesKeptMs}));
    forgotten += dropped;
  }
  if (forgotten == 0) return absl::OkStatus();
  return db_->Run(
      "DELETE FROM runs WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.run_id = runs.run_id) AND "
      "NOT EXISTS (SELECT 1 FROM sent WHERE sent.run_id = runs.run_id)");
}

absl::Status ClientLedger::WriteTask(const v1::TrainTask& task, TaskState state, const Refusal& refusal,
                                     int64_t now_unix_ms) {
  const bool held = IsHeld(state);
  const std::string message = held ? task.SerializeAsString() : std::string();
  TRB_RETURN_IF_ERROR(db_->Run(
      "DELETE FROM tasks WHERE task_id = ?1 AND state NOT IN ('queued', 'training', 'finished')", {task.task_id()}));
  if (held) TRB_RETURN_IF_ERROR(CountAccepted(task.task_id(), now_unix_ms));
  TRB_RETURN_IF_ERROR(db_->Run(
      "INSERT INTO tasks (task_id, run_id, run_name, round, state, code, reason, accepted, message, received_unix_ms) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
      {task.task_id(), task.run_id(), task.run_name(), task.round(), TaskStateName(state), refusal.code, refusal.reason,
       held, Bytes{message}, now_unix_ms}));
  return ForgetOld(now_unix_ms);
}

absl::Status ClientLedger::AddTask(const v1::TrainTask& task, TaskState state, const Refusal& refusal,
                                   int64_t now_unix_ms) {
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(*db_));
  TRB_RETURN_IF_ERROR(WriteTask(task, state, refusal, now_unix_ms));
  TRB_RETURN_IF_ERROR(db_->Run(
      "INSERT INTO runs (run_id, run_name, genesis_sha256, round, previous_record_sha256, receipt_certificate_pem, "
      "seen_unix_ms, base_model_sha256, plan_sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
      "ON CONFLICT (run_id) DO UPDATE SET round = excluded.round, "
      "previous_record_sha256 = excluded.previous_record_sha256, seen_unix_ms = excluded.seen_unix_ms, "
      "base_model_sha256 = excluded.base_model_sha256, plan_sha256 = excluded.plan_sha256 "
      "WHERE excluded.round >= round",
      {task.run_id(), task.run_name(), task.genesis_sha256(), task.round(), task.previous_record_sha256(),
       task.receipt_certificate_pem(), now_unix_ms, task.base_model_sha256(), task.plan_sha256()}));
  return transaction->Commit();
}

absl::Status ClientLedger::AddRefusedHistory(const v1::TrainTask& task, const Refusal& refusal, int64_t now_unix_ms) {
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(*db_));
  TRB_ASSIGN_OR_RETURN(
      const int64_t known,
      db_->Change("UPDATE tasks SET code = ?2, reason = ?3, "
                  "state = CASE WHEN state IN ('queued', 'training', 'dropped') THEN 'declined' ELSE state END, "
                  "message = CASE WHEN state = 'finished' THEN message ELSE x'' END WHERE task_id = ?1",
                  {task.task_id(), refusal.code, refusal.reason}));
  if (known == 0) TRB_RETURN_IF_ERROR(WriteTask(task, TaskState::kDeclined, refusal, now_unix_ms));
  return transaction->Commit();
}

absl::StatusOr<std::optional<TaskRow>> ClientLedger::FindTask(const std::string& task_id) {
  std::optional<TaskRow> task;
  TRB_RETURN_IF_ERROR(db_->Query(absl::StrCat("SELECT ", kTaskColumns, " FROM tasks WHERE task_id = ?1"), {task_id},
                                 [&](const Row& row) -> absl::Status {
                                   TRB_ASSIGN_OR_RETURN(task, ReadTask(row, db_->path()));
                                   return absl::OkStatus();
                                 }));
  return task;
}

absl::StatusOr<std::vector<TaskRow>> ClientLedger::HeldTasks() {
  std::vector<TaskRow> tasks;
  TRB_RETURN_IF_ERROR(
      db_->Query(absl::StrCat("SELECT ", kTaskColumns,
                              " FROM tasks WHERE state IN ('queued', 'training', 'finished') ORDER BY sequence"),
                 {}, [&](const Row& row) -> absl::Status {
                   TRB_ASSIGN_OR_RETURN(TaskRow task, ReadTask(row, db_->path()));
                   tasks.push_back(std::move(task));
                   return absl::OkStatus();
                 }));
  return tasks;
}

absl::StatusOr<uint64_t> ClientLedger::CountAccepted(int64_t since_unix_ms, int64_t now_unix_ms) {
  TRB_ASSIGN_OR_RETURN(const int64_t count,
                       db_->QueryInt("SELECT count(*) FROM acceptances WHERE accepted_unix_ms BETWEEN ?1 AND ?2",
                                     {since_unix_ms, now_unix_ms}));
  return static_cast<uint64_t>(count);
}

absl::StatusOr<bool> ClientLedger::TookRoundAsOther(const v1::TrainTask& task) {
  TRB_ASSIGN_OR_RETURN(
      const int64_t count,
      db_->QueryInt("SELECT count(*) FROM tasks WHERE run_id = ?1 AND round = ?2 AND task_id <> ?3 AND accepted = 1",
                    {task.run_id(), task.round(), task.task_id()}));
  return count > 0;
}

absl::Status ClientLedger::SetTaskState(const std::string& task_id, TaskState state) {
  return RequireOne(db_->Change("UPDATE tasks SET state = ?2 WHERE task_id = ?1 AND state IN ('queued', 'training')",
                                {task_id, TaskStateName(state)}),
                    task_id);
}

absl::Status ClientLedger::CountStart(const std::string& task_id) {
  return RequireOne(db_->Change("UPDATE tasks SET state = 'training', starts = starts + 1 WHERE task_id = ?1 AND state "
                                "IN ('queued', 'training')",
                                {task_id}),
                    task_id);
}

absl::Status ClientLedger::UndoStart(const std::string& task_id) {
  return db_->Run("UPDATE tasks SET starts = max(starts - 1, 0) WHERE task_id = ?1", {task_id});
}

absl::StatusOr<bool> ClientLedger::GaveUpTaskOf(const std::string& run_id, uint64_t starts, int64_t since_unix_ms,
                                                int64_t now_unix_ms) {
  TRB_ASSIGN_OR_RETURN(const int64_t count,
                       db_->QueryInt("SELECT count(*) FROM tasks WHERE run_id = ?1 AND state = 'failed' AND starts >= "
                                     "?2 AND received_unix_ms BETWEEN ?3 AND ?4",
                                     {run_id, starts, since_unix_ms, now_unix_ms}));
  return count > 0;
}

absl::StatusOr<bool> ClientLedger::CloseUnfinished(const std::string& task_id, TaskState end, const Refusal& why) {
  TRB_ASSIGN_OR_RETURN(const int64_t changed,
                       db_->Change("UPDATE tasks SET state = ?2, code = ?3, reason = ?4, message = x'' "
                                   "WHERE task_id = ?1 AND state IN ('queued', 'training')",
                                   {task_id, TaskStateName(end), why.code, why.reason}));
  return changed == 1;
}

absl::Status ClientLedger::CloseTask(const std::string& task_id, TaskState end, const Refusal& why,
                                     std::string_view receipt, int64_t now_unix_ms) {
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(*db_));
  TRB_RETURN_IF_ERROR(db_->Run("DELETE FROM outbox WHERE task_id = ?1", {task_id}));
  // Without a reason of its own an end leaves the one that is there: a fork of a finished task.
  TRB_RETURN_IF_ERROR(RequireOne(db_->Change("UPDATE tasks SET state = ?2, code = iif(?3 = '', code, ?3), "
                                             "reason = iif(?3 = '', reason, ?4), message = x'' "
                                             "WHERE task_id = ?1 AND state IN ('queued', 'training', 'finished')",
                                             {task_id, TaskStateName(end), why.code, why.reason}),
                                 task_id));
  const std::string outcome = end == TaskState::kDone       ? "receipted"
                              : end == TaskState::kRejected ? absl::StrCat("rejected: ", why.code)
                                                            : "not_needed";
  const storage::Arg stored = receipt.empty() ? storage::Arg(nullptr) : storage::Arg(Bytes{receipt});
  TRB_RETURN_IF_ERROR(db_->Run("UPDATE sent SET outcome = ?2, last_unix_ms = ?3, receipt = ?4 WHERE task_id = ?1",
                               {task_id, outcome, now_unix_ms, stored}));
  return transaction->Commit();
}

absl::Status ClientLedger::AddOutbox(const OutboxEntry& entry) {
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(*db_));
  TRB_RETURN_IF_ERROR(RequireOne(db_->Change("UPDATE tasks SET state = 'finished' WHERE task_id = ?1 AND state IN "
                                             "('queued', 'training')",
                                             {entry.record.task_id()}),
                                 entry.record.task_id()));
  TRB_RETURN_IF_ERROR(
      db_->Run("INSERT INTO outbox (task_id, update_sha256, record, signature, metrics) VALUES (?1, ?2, ?3, ?4, ?5)",
               {entry.record.task_id(), entry.record.update_sha256(), Bytes{entry.record.SerializeAsString()},
                Bytes{entry.signature}, Bytes{entry.metrics}}));
  return transaction->Commit();
}

absl::Status ClientLedger::RequeueFinished(const std::string& task_id) {
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(*db_));
  TRB_RETURN_IF_ERROR(db_->Run("DELETE FROM outbox WHERE task_id = ?1", {task_id}));
  TRB_RETURN_IF_ERROR(
      db_->Run("UPDATE tasks SET state = 'queued', starts = 0 WHERE task_id = ?1 AND state = 'finished'", {task_id}));
  return transaction->Commit();
}

absl::StatusOr<std::optional<OutboxEntry>> ClientLedger::FindOutbox(const std::string& task_id) {
  std::optional<OutboxEntry> entry;
  TRB_RETURN_IF_ERROR(db_->Query("SELECT record, signature, metrics FROM outbox WHERE task_id = ?1", {task_id},
                                 [&](const Row& row) -> absl::Status {
                                   TRB_ASSIGN_OR_RETURN(entry, ReadOutbox(row, db_->path()));
                                   return absl::OkStatus();
                                 }));
  return entry;
}

absl::StatusOr<std::vector<OutboxEntry>> ClientLedger::ListOutbox() {
  std::vector<OutboxEntry> entries;
  TRB_RETURN_IF_ERROR(db_->Query("SELECT record, signature, metrics FROM outbox ORDER BY rowid", {},
                                 [&](const Row& row) -> absl::Status {
                                   TRB_ASSIGN_OR_RETURN(OutboxEntry entry, ReadOutbox(row, db_->path()));
                                   entries.push_back(std::move(entry));
                                   return absl::OkStatus();
                                 }));
  return entries;
}

absl::Status ClientLedger::ReplaceSignature(const OutboxEntry& entry) {
  return RequireOne(
      db_->Change("UPDATE outbox SET record = ?2, signature = ?3 WHERE task_id = ?1",
                  {entry.record.task_id(), Bytes{entry.record.SerializeAsString()}, Bytes{entry.signature}}),
      entry.record.task_id());
}

absl::Status ClientLedger::RecordSent(const SentRow& row) {
  return db_->Run(
      "INSERT INTO sent (kind, task_id, run_id, run_name, round, detail, bytes, sha256, outcome, times, first_unix_ms, "
      "last_unix_ms, receipt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, ?10, NULL) "
      "ON CONFLICT (kind, task_id, sha256) DO UPDATE SET times = times + 1, outcome = excluded.outcome, "
      "last_unix_ms = excluded.last_unix_ms",
      {row.kind, row.task_id, row.run_id, row.run_name, row.round, row.detail, row.bytes, row.sha256, row.outcome,
       row.last_unix_ms});
}

absl::Status ClientLedger::ListSent(const std::function<absl::Status(const SentRow&)>& each) {
  return db_->Query(
      "SELECT kind, task_id, run_id, run_name, round, detail, bytes, sha256, outcome, times, first_unix_ms, "
      "last_unix_ms, receipt FROM sent ORDER BY sequence",
      {}, [&each](const Row& r) {
        return each({r.Text(0), r.Text(1), r.Text(2), r.Text(3), r.Uint(4), r.Text(5), r.Uint(6), r.Text(7), r.Text(8),
                     r.Uint(9), r.Int(10), r.Int(11), r.Text(12)});
      });
}

absl::StatusOr<std::string> ClientLedger::LastFacts() {
  std::string facts;
  TRB_RETURN_IF_ERROR(
      db_->QueryOne("SELECT message FROM facts", {}, [&facts](const Row& row) { facts = row.Text(0); }).status());
  return facts;
}

absl::Status ClientLedger::SaveFacts(std::string_view serialised) {
  return db_->Run("INSERT INTO facts (id, message) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET message = ?1",
                  {Bytes{serialised}});
}

}  // namespace tributary::session
