// How long blobs stay. Models stay for good, updates as keep_updates says. A deletion is noted and committed first,
// then the file goes, then that is noted: a crash in between is finished at the next start, and verify can tell a
// deleted blob from a lost one. All of it happens inside write transactions, as does accepting: an update whose bytes
// somebody sends again cannot lose them. A run may let go of a hundred thousand files, and a transaction holds up all
// that others ask of the ledger: so it is many small ones.
#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/crypto/certificate.h"
#include "server/ledger/authority_ledger.h"
#include "server/ledger/ledger_rows.h"
#include "server/ledger/ledger_store.h"

namespace tributary::ledger {
namespace {

// A model that was sent for a run which is not started yet.
constexpr absl::Duration kOfferedKept = absl::Hours(24);
constexpr size_t kRemovedAtOnce = 32;

using storage::Database;
using storage::Row;
using storage::Transaction;

// Update digests that an open round, or a run that still keeps its updates, needs. ?1 is the digest.
constexpr const char* kNeeded =
    "SELECT EXISTS (SELECT 1 FROM updates u JOIN runs ON runs.id = u.run_id "
    "JOIN rounds ON rounds.run_id = u.run_id AND rounds.round = u.round WHERE u.update_sha256 = ?1 AND "
    "(runs.keep_updates = 'forever' OR rounds.state NOT IN ('committed', 'abandoned') OR "
    "(runs.keep_updates = 'run' AND runs.state IN ('running', 'stalled')))) "
    "OR EXISTS (SELECT 1 FROM runs WHERE ?1 IN (initial_model_sha256, model_sha256)) "
    "OR EXISTS (SELECT 1 FROM rounds WHERE model_sha256 = ?1)";

// Digests that any row has, needed or not, but for those that were let go: the removal of a file that was not synced is
// undone when the power is cut. ?1 is the digest. A round's base model is the model of a round or run.
constexpr const char* kNamed =
    "SELECT EXISTS (SELECT 1 FROM updates WHERE update_sha256 = ?1 AND "
    "NOT EXISTS (SELECT 1 FROM deleted_blobs WHERE sha256 = ?1)) "
    "OR EXISTS (SELECT 1 FROM rounds WHERE model_sha256 = ?1) "
    "OR EXISTS (SELECT 1 FROM runs WHERE ?1 IN (initial_model_sha256, model_sha256))";

absl::StatusOr<bool> IsNeeded(Database& database, const std::string& sha256) {
  TRB_ASSIGN_OR_RETURN(const int64_t needed, database.QueryInt(kNeeded, {sha256}));
  return needed != 0;
}

absl::StatusOr<std::vector<std::string>> Digests(Database& database, std::string_view sql, const storage::Args& args) {
  std::vector<std::string> digests;
  TRB_RETURN_IF_ERROR(database.Query(sql, args, [&](const Row& row) {
    digests.push_back(row.Text(0));
    return absl::OkStatus();
  }));
  return digests;
}

// Whether this run's keep_updates lets go of anything now.
absl::StatusOr<bool> LetsGo(Database& database, const std::string& run) {
  TRB_ASSIGN_OR_RETURN(
      const int64_t lets_go,
      database.QueryInt("SELECT keep_updates = 'round' OR (keep_updates = 'run' AND ended_unix_ms > 0) "
                        "FROM runs WHERE id = ?1",
                        {run}));
  return lets_go != 0;
}

// Step 1 for one round: what of it is not needed any more and not noted as deleted yet.
absl::Status NoteUnneededOf(Database& database, const std::string& run, uint64_t round, int64_t now_unix_ms) {
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(database));
  TRB_ASSIGN_OR_RETURN(const bool lets_go, LetsGo(database, run));
  if (!lets_go) return absl::OkStatus();
  TRB_ASSIGN_OR_RETURN(const std::vector<std::string> candidates,
                       Digests(database,
                               "SELECT DISTINCT update_sha256 FROM updates WHERE run_id = ?1 AND round = ?2 AND "
                               "NOT EXISTS (SELECT 1 FROM deleted_blobs WHERE sha256 = update_sha256)",
                               {run, round}));
  for (const std::string& sha256 : candidates) {
    TRB_ASSIGN_OR_RETURN(const bool needed, IsNeeded(database, sha256));
    if (needed) continue;
    TRB_RETURN_IF_ERROR(database.Run("INSERT INTO deleted_blobs (sha256, run_id, deleted_unix_ms) VALUES (?1, ?2, ?3)",
                                     {sha256, run, now_unix_ms}));
  }
  return transaction->Commit();
}

absl::Status NoteUnneeded(Database& database, const std::string& run, uint64_t from_round, int64_t now_unix_ms) {
  TRB_ASSIGN_OR_RETURN(const bool lets_go, LetsGo(database, run));
  if (!lets_go) return absl::OkStatus();
  std::vector<uint64_t> rounds;
  TRB_RETURN_IF_ERROR(
      database.Query("SELECT DISTINCT round FROM updates WHERE run_id = ?1 AND round >= ?2 AND "
                     "NOT EXISTS (SELECT 1 FROM deleted_blobs WHERE sha256 = update_sha256)",
                     {run, from_round}, [&](const Row& row) {
                       rounds.push_back(row.Uint(0));
                       return absl::OkStatus();
                     }));
  for (const uint64_t round : rounds) TRB_RETURN_IF_ERROR(NoteUnneededOf(database, run, round, now_unix_ms));
  return absl::OkStatus();
}

// Step 2: the files of some deletions that are noted but not done. True: there are more.
absl::StatusOr<bool> RemoveSomeNoted(Database& database, storage::BlobStore& blobs) {
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(database));
  TRB_ASSIGN_OR_RETURN(
      const std::vector<std::string> pending,
      Digests(database, "SELECT sha256 FROM deleted_blobs WHERE file_removed = 0 LIMIT ?1", {kRemovedAtOnce}));
  for (const std::string& sha256 : pending) {
    TRB_RETURN_IF_ERROR(blobs.Remove(sha256));
    TRB_RETURN_IF_ERROR(database.Run("UPDATE deleted_blobs SET file_removed = 1 WHERE sha256 = ?1", {sha256}));
  }
  TRB_RETURN_IF_ERROR(transaction->Commit());
  return pending.size() == kRemovedAtOnce;
}

absl::Status RemoveNoted(Database& database, storage::BlobStore& blobs) {
  for (;;) {
    TRB_ASSIGN_OR_RETURN(const bool more, RemoveSomeNoted(database, blobs));
    if (!more) return absl::OkStatus();
  }
}

// A crash may have come after a round or run ended, and before the deletions that this asks for were noted.
absl::Status NoteForgotten(Database& database) {
  std::vector<std::pair<std::string, int64_t>> ends;
  TRB_RETURN_IF_ERROR(database.Query(
      "SELECT id, max(ended_unix_ms, (SELECT ifnull(max(closed_unix_ms), 0) FROM rounds WHERE run_id = id)) FROM runs "
      "WHERE keep_updates = 'round' OR (keep_updates = 'run' AND ended_unix_ms > 0)",
      {}, [&](const Row& row) {
        ends.emplace_back(row.Text(0), row.Int(1));
        return absl::OkStatus();
      }));
  for (const auto& [run, end_unix_ms] : ends) TRB_RETURN_IF_ERROR(NoteUnneeded(database, run, 1, end_unix_ms));
  return absl::OkStatus();
}

// Blobs are written before the row that names them: what no row names was on its way when the process was killed. The
// update is sent again, the model is computed again. Not so a model that an operator sent for a run to come.
absl::Status SweepOrphans(Database& database, storage::BlobStore& blobs, absl::Time now) {
  uint64_t count = 0, bytes = 0;
  TRB_ASSIGN_OR_RETURN(const std::vector<std::string> there, blobs.List());
  for (const std::string& sha256 : there) {
    TRB_ASSIGN_OR_RETURN(const int64_t named, database.QueryInt(kNamed, {sha256}));
    if (named != 0 || blobs.OfferedAt(sha256).value_or(absl::InfinitePast()) > now - kOfferedKept) continue;
    bytes += blobs.Size(sha256).value_or(0);
    TRB_RETURN_IF_ERROR(blobs.Remove(sha256));
    ++count;
  }
  if (count > 0) Log(LogLevel::kInfo, "orphan_blobs_removed", {{"count", count}, {"bytes", bytes}});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LedgerStore>> LedgerStore::Create(Options options) {
  if (options.database == nullptr || !options.signer.sign)
    return absl::InvalidArgumentError("a ledger needs a database and a signer");
  TRB_ASSIGN_OR_RETURN(const auto authority, crypto::Certificate::FromPem(options.signer.ca_certificate_pem));
  TRB_RETURN_IF_ERROR(AddAuthority(*options.database, authority));
  Witnesses witnesses{options.signer.receipt_certificate_pem, authority.sha256()};
  std::unique_ptr<LedgerStore> store(new LedgerStore(std::move(options), std::move(witnesses)));
  if (storage::BlobStore* const blobs = store->options_.blobs; blobs != nullptr) {
    TRB_RETURN_IF_ERROR(NoteForgotten(store->database()));
    TRB_RETURN_IF_ERROR(RemoveNoted(store->database(), *blobs));
    TRB_RETURN_IF_ERROR(SweepOrphans(store->database(), *blobs, store->options_.clock->Now()));
  }
  return store;
}

absl::Status LedgerStore::SetReceiptCertificate(const std::string& receipt_certificate_pem,
                                                const std::string& ca_certificate_pem) {
  TRB_ASSIGN_OR_RETURN(const auto authority, crypto::Certificate::FromPem(ca_certificate_pem));
  TRB_RETURN_IF_ERROR(AddAuthority(database(), authority));
  const MutexLock lock(&mu_);
  witnesses_ = {receipt_certificate_pem, authority.sha256()};
  return absl::OkStatus();
}

LedgerStore::Witnesses LedgerStore::witnesses() const {
  const MutexLock lock(&mu_);
  return witnesses_;
}

absl::StatusOr<bool> LedgerStore::LetsGoOfUpdates(const std::string& run) { return LetsGo(database(), run); }

absl::Status LedgerStore::DeleteUnneededUpdates(const std::string& run, uint64_t from_round, int64_t now_unix_ms) {
  if (options_.blobs == nullptr) return absl::OkStatus();
  TRB_RETURN_IF_ERROR(NoteUnneeded(database(), run, from_round, now_unix_ms));
  return RemoveNoted(database(), *options_.blobs);
}

// What has been committed stays committed when tidying fails: the next start tries again, and the end of the run.
void LedgerStore::TidyUpdates(const std::string& run, uint64_t from_round, int64_t now_unix_ms) {
  const absl::Status status = DeleteUnneededUpdates(run, from_round, now_unix_ms);
  if (!status.ok())
    Log(LogLevel::kWarning, "updates_not_deleted", {{"run", run}, {"cause", std::string(status.message())}});
}

// The blob of an update that was not taken, unless something else refers to the same bytes.
void LedgerStore::DropRefusedBlob(const std::string& sha256) {
  if (options_.blobs == nullptr) return;
  const auto drop = [&]() -> absl::Status {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(database()));
    TRB_ASSIGN_OR_RETURN(const bool needed, IsNeeded(database(), sha256));
    return needed ? absl::OkStatus() : options_.blobs->Remove(sha256);
  };
  const absl::Status status = drop();
  if (!status.ok())
    Log(LogLevel::kWarning, "refused_update_not_deleted", {{"blob", sha256}, {"cause", std::string(status.message())}});
}

}  // namespace tributary::ledger
