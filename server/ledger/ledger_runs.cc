// Runs: creating, finding, changing state; events and the audit.
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "server/ledger/audit_ledger.h"
#include "server/ledger/history.h"
#include "server/ledger/ledger_rows.h"
#include "server/ledger/ledger_store.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::ledger {
namespace {

using rounds::NewRun;
using rounds::RunRow;
using storage::Bytes;
using storage::Database;
using storage::Row;
using storage::Transaction;

constexpr size_t kShortestPrefix = 4;
constexpr uint64_t kDefaultAuditLimit = 100;
constexpr uint64_t kMostLinks = 100'000;
constexpr uint64_t kMostEvents = 32;  // of one client in one round: enough to see what it does, however long it does it

absl::StatusOr<v1::RunPlan> ParsePlan(const NewRun& run) {
  v1::RunPlan plan;
  if (!plan.ParseFromString(run.plan_bytes)) return absl::InvalidArgumentError("the plan is not a RunPlan message");
  if (plan.keep_updates().empty()) plan.set_keep_updates("run");
  if (run.id.empty()) return absl::InvalidArgumentError("a run needs an id");
  if (!IsHexDigest(run.initial_model_sha256))
    return absl::InvalidArgumentError("a run needs the digest of its initial model");
  if (!plan.initial_model_sha256().empty() && plan.initial_model_sha256() != run.initial_model_sha256)
    return absl::InvalidArgumentError("the plan names another initial model than the run");
  return plan;
}

// The run, and the two that a genesis record names.
struct RunRowToBe {
  const NewRun& run;
  const v1::RunPlan& plan;
  std::string federation, receipt_certificate_pem, ca_certificate_sha256;
};

absl::Status InsertRun(Database& database, const RunRowToBe& row) {
  const auto& [run, plan, federation, receipt_certificate_pem, ca_certificate_sha256] = row;
  return database.Run(
      "INSERT INTO runs (id, name, federation, state, rounds_total, seed, plan, plan_sha256, keep_updates, "
      "receipt_certificate_pem, ca_certificate_sha256, initial_model_sha256, model_sha256, created_unix_ms) "
      "VALUES (?1, ?2, ?3, 'running', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12)",
      {run.id, plan.name(), federation, plan.rounds(), absl::StrCat(plan.seed()), Bytes{run.plan_bytes},
       crypto::Sha256Hex(run.plan_bytes), plan.keep_updates(), receipt_certificate_pem, ca_certificate_sha256,
       run.initial_model_sha256, run.now_unix_ms});
}

// Whose rate an audit row counts against; empty: nobody's, it was an operator or the coordinator itself, or something
// that was done and has a limit of its own (a client's renewals). Addresses are cheap, so all strangers share one. An
// enrolment that went well can be repeated by whoever has the invitation, but must not be crowded out by the refused
// ones. An operator is held to a rate where it is refused at the door: it may be one that was revoked.
std::string PeerOf(const v1::AuditEntry& entry) {
  if (absl::StartsWith(entry.actor(), "client/")) return entry.outcome() == "ok" ? "" : entry.actor();
  if (absl::StartsWith(entry.actor(), "operator/")) return entry.action() == "call" ? entry.actor() : "";
  if (!absl::StartsWith(entry.actor(), "stranger")) return "";
  return entry.outcome() == "ok" ? absl::StrCat("enrolled/", entry.subject()) : "strangers";
}

// A row in a transaction of its own, or in that of what it tells of.
absl::Status InsertAudit(Database& database, const v1::AuditEntry& entry) {
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::BeginOrJoin(database));
  TRB_RETURN_IF_ERROR(AppendAudit(database, entry));
  return transaction->Commit();
}

absl::Status AuditStart(Database& database, const NewRun& run) {
  v1::AuditEntry entry;
  entry.set_time_unix_ms(run.now_unix_ms);
  entry.set_actor(run.actor.empty() ? "coordinator" : run.actor);
  entry.set_certificate_sha256(run.actor_certificate_sha256);
  entry.set_action("run.start");
  entry.set_subject(run.id);
  entry.set_outcome("ok");
  return AppendAudit(database, entry);
}

// How a run ended, sealed: the run's own row has no digest.
absl::Status AuditEnd(Database& database, const std::string& run, const std::string& state, const std::string& reason,
                      int64_t now_unix_ms) {
  v1::AuditEntry entry;
  entry.set_time_unix_ms(now_unix_ms);
  entry.set_actor("coordinator");
  entry.set_action("run.end");
  entry.set_subject(run);
  entry.set_outcome(reason.empty() ? state : absl::StrCat(state, ": ", reason));
  return AppendAudit(database, entry);
}

// The run that this request made before, if any.
absl::StatusOr<std::string> FindRequest(Database& database, const std::string& request_id) {
  std::string run;
  if (request_id.empty()) return run;
  TRB_RETURN_IF_ERROR(database
                          .QueryOne("SELECT run_id FROM requests WHERE request_id = ?1", {request_id},
                                    [&](const Row& row) { run = row.Text(0); })
                          .status());
  return run;
}

absl::StatusOr<std::vector<std::string>> TwoIds(Database& database, std::string_view where, const storage::Args& args) {
  std::vector<std::string> ids;
  TRB_RETURN_IF_ERROR(database.Query(absl::StrCat("SELECT id FROM runs WHERE ", std::string(where), " LIMIT 2"), args,
                                     [&](const Row& row) {
                                       ids.push_back(row.Text(0));
                                       return absl::OkStatus();
                                     }));
  return ids;
}

absl::Status Ambiguous(const std::string& text) {
  return absl::InvalidArgumentError(
      absl::StrCat("more than one run is meant by ", EscapeForLog(text, 80), ": name one by its id"));
}

bool MayBecome(std::string_view from, std::string_view to) {
  if (!IsActive(from)) return false;
  return IsActive(to) || to == "completed" || to == "failed" || to == "stopped";
}

}  // namespace

absl::StatusOr<RunRow> LedgerStore::CreateRun(const NewRun& run) {
  Database& db = database();
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(db));
  TRB_ASSIGN_OR_RETURN(const std::string before, FindRequest(db, run.request_id));
  if (!before.empty()) return SelectRun(db, before);
  TRB_ASSIGN_OR_RETURN(const v1::RunPlan plan, ParsePlan(run));
  const Witnesses named = witnesses();
  const absl::Status inserted = InsertRun(
      db, {run, plan, options_.signer.federation, named.receipt_certificate_pem, named.ca_certificate_sha256});
  if (absl::IsAlreadyExists(inserted)) return absl::AlreadyExistsError(absl::StrCat("there is a run ", run.id));
  TRB_RETURN_IF_ERROR(inserted);
  if (!run.request_id.empty()) {
    TRB_RETURN_IF_ERROR(db.Run("INSERT INTO requests (request_id, run_id, created_unix_ms) VALUES (?1, ?2, ?3)",
                               {run.request_id, run.id, run.now_unix_ms}));
  }
  TRB_ASSIGN_OR_RETURN(const std::string genesis, AppendRecord(run.id, 0, std::string(history::kNoRecord)));
  TRB_RETURN_IF_ERROR(db.Run("UPDATE runs SET genesis_sha256 = ?2, head_sha256 = ?2 WHERE id = ?1", {run.id, genesis}));
  TRB_RETURN_IF_ERROR(AuditStart(db, run));
  TRB_ASSIGN_OR_RETURN(RunRow row, SelectRun(db, run.id));
  TRB_RETURN_IF_ERROR(transaction->Commit());
  return row;
}

// The record of a round whose rows are as they will stay. Inside a transaction.
absl::StatusOr<std::string> LedgerStore::AppendRecord(const std::string& run, uint64_t round,
                                                      const std::string& previous_record) {
  TRB_ASSIGN_OR_RETURN(const std::string body, BuildBody(database(), run, round));
  const std::string body_sha256 = crypto::Sha256Hex(body);
  const std::string preimage = history::RecordPreimage(previous_record, body_sha256);
  std::string record_sha256 = crypto::Sha256Hex(preimage);
  TRB_ASSIGN_OR_RETURN(const std::string signature, options_.signer.sign(preimage));
  TRB_RETURN_IF_ERROR(database().Run(
      "INSERT INTO records (run_id, round, previous_record_sha256, body_sha256, record_sha256, signature, body) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
      {run, round, previous_record, body_sha256, record_sha256, Bytes{signature}, Bytes{body}}));
  return record_sha256;
}

absl::StatusOr<RunRow> LedgerStore::GetRun(const std::string& id) { return SelectRun(database(), id); }

absl::StatusOr<std::string> LedgerStore::ResolveRun(const std::string& text) {
  TRB_ASSIGN_OR_RETURN(std::vector<std::string> ids, TwoIds(database(), "id = ?1", {text}));
  if (ids.size() == 1) return ids[0];
  if (text.size() >= kShortestPrefix) {
    TRB_ASSIGN_OR_RETURN(ids, TwoIds(database(), "id > ?1 AND id < ?2", {text, text + "\x7f"}));
    if (ids.size() > 1) return Ambiguous(text);
    if (ids.size() == 1) return ids[0];
  }
  TRB_ASSIGN_OR_RETURN(ids, TwoIds(database(), "name = ?1", {text}));
  if (ids.size() > 1) return Ambiguous(text);
  if (ids.size() == 1) return ids[0];
  return absl::NotFoundError(absl::StrCat("no run ", EscapeForLog(text, 80)));
}

absl::StatusOr<std::vector<RunRow>> LedgerStore::ListRuns(bool active_only) {
  return SelectRuns(database(), active_only ? "WHERE state IN ('running', 'stalled') ORDER BY sequence DESC"
                                            : "ORDER BY sequence DESC");
}

absl::Status LedgerStore::SetRunState(const std::string& id, const std::string& state, const std::string& reason,
                                      int64_t now_unix_ms) {
  Database& db = database();
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(db));
  TRB_ASSIGN_OR_RETURN(const RunRow run, SelectRun(db, id));
  if (!MayBecome(run.run.state(), state))
    return absl::FailedPreconditionError(
        absl::StrCat("run ", id, " is ", run.run.state(), ": it cannot become ", EscapeForLog(state, 40)));
  if (!IsActive(state)) {
    TRB_ASSIGN_OR_RETURN(const auto open, GetOpenRound(id));
    rounds::Abandonment why{.reason = absl::StrCat("run_ended: ", reason), .open_rows_become = "not_needed"};
    if (open) why.times.total_ms = open->selecting_elapsed_ms + open->training_elapsed_ms;
    if (open) TRB_RETURN_IF_ERROR(AbandonInside(id, open->round.round(), why, now_unix_ms));
  }
  TRB_RETURN_IF_ERROR(
      db.Run("UPDATE runs SET state = ?2, reason = ?3, ended_unix_ms = ?4, "
             "stalled_ms = CASE WHEN ?2 = 'stalled' THEN stalled_ms ELSE 0 END WHERE id = ?1",
             {id, state, reason, IsActive(state) ? int64_t{0} : now_unix_ms}));
  if (!IsActive(state)) TRB_RETURN_IF_ERROR(AuditEnd(db, id, state, reason, now_unix_ms));
  TRB_RETURN_IF_ERROR(transaction->Commit());
  if (!IsActive(state)) TidyUpdates(id, 1, now_unix_ms);
  return absl::OkStatus();
}

absl::Status LedgerStore::SaveStalled(const std::string& id, uint64_t stalled_ms) {
  TRB_ASSIGN_OR_RETURN(
      const int64_t changed,
      database().Change("UPDATE runs SET stalled_ms = ?2 WHERE id = ?1 AND state = 'stalled'", {id, stalled_ms}));
  if (changed > 0) return absl::OkStatus();
  TRB_RETURN_IF_ERROR(SelectRun(database(), id).status());
  return absl::FailedPreconditionError(absl::StrCat("run ", id, " is not stalled"));
}

absl::StatusOr<std::vector<LedgerStore::Link>> LedgerStore::ListLinks(const std::string& run, uint64_t from,
                                                                      uint64_t to) {
  std::vector<Link> links;
  const uint64_t last = std::min<uint64_t>(to, std::numeric_limits<int64_t>::max());
  TRB_RETURN_IF_ERROR(
      database().Query("SELECT round, body_sha256, record_sha256 FROM records INDEXED BY records_links "
                       "WHERE run_id = ?1 AND round BETWEEN ?2 AND ?3 ORDER BY round LIMIT ?4",
                       {run, std::min(from, last), last, kMostLinks}, [&](const Row& row) {
                         links.push_back({row.Uint(0), row.Text(1), row.Text(2)});
                         return absl::OkStatus();
                       }));
  return links;
}

absl::Status LedgerStore::AddEvent(const std::string& run, uint64_t round, const std::string& client_id,
                                   const std::string& kind, const std::string& detail, int64_t now_unix_ms) {
  if (!event_rate_.Take(client_id)) return absl::OkStatus();
  uint64_t there = 0;
  TRB_RETURN_IF_ERROR(database()
                          .QueryOne("SELECT count(*) FROM (SELECT 1 FROM events WHERE run_id = ?1 AND round = ?2 AND "
                                    "client_id = ?3 LIMIT ?4)",
                                    {run, round, client_id, kMostEvents}, [&](const Row& row) { there = row.Uint(0); })
                          .status());
  if (there >= kMostEvents) return absl::OkStatus();
  const bool last = there + 1 == kMostEvents;
  return database().Run(
      "INSERT INTO events (time_unix_ms, run_id, round, client_id, kind, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
      {now_unix_ms, run, round, client_id, kind, absl::StrCat(detail, last ? " (and what follows is not kept)" : "")});
}

absl::Status LedgerStore::AddAudit(const v1::AuditEntry& entry) {
  const std::string peer = PeerOf(entry);
  if (!peer.empty() && !audit_rate_.Take(peer)) return absl::OkStatus();
  return InsertAudit(database(), entry);
}

absl::Status LedgerStore::TellLeftOut() {
  v1::AuditEntry entry;
  entry.set_time_unix_ms(options_.clock->NowUnixMillis());
  entry.set_actor("coordinator");
  entry.set_action("rows.left_out");
  for (const auto& [peer, rows] : audit_rate_.TakeRefused()) {
    entry.set_subject(peer);
    entry.set_outcome(absl::StrCat(rows, " rows of the audit"));
    TRB_RETURN_IF_ERROR(InsertAudit(database(), entry));
  }
  for (const auto& [client_id, rows] : event_rate_.TakeRefused()) {
    entry.set_subject(client_id);
    entry.set_outcome(absl::StrCat(rows, " events"));
    TRB_RETURN_IF_ERROR(InsertAudit(database(), entry));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::AuditEntry>> LedgerStore::ListAudit(uint64_t limit) {
  std::vector<v1::AuditEntry> entries;
  const uint64_t most =
      limit == 0 ? kDefaultAuditLimit : std::min<uint64_t>(limit, std::numeric_limits<int32_t>::max());
  TRB_RETURN_IF_ERROR(SelectAudit(database(), "ORDER BY sequence DESC LIMIT ?1", {most}, [&](v1::AuditEntry entry) {
    entries.push_back(std::move(entry));
    return absl::OkStatus();
  }));
  return entries;
}

}  // namespace tributary::ledger
