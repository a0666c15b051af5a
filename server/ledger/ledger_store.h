// The ledger: DIR/ledger.db, the one place where the coordinator remembers runs, rounds, contributions, receipts and
// the audit. Implements rounds::RunStore; its comments say what each call promises. The schema is a public interface:
// server/ledger/history_schema.cc, docs/reference/database.md.
//
// Threads: every method is safe from any thread. Ownership: what Options points to is borrowed and must outlive it.
#ifndef TRIBUTARY_SERVER_LEDGER_LEDGER_STORE_H_
#define TRIBUTARY_SERVER_LEDGER_LEDGER_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/token_buckets.h"
#include "common/storage/blob_store.h"
#include "common/storage/database.h"
#include "common/storage/migrations.h"
#include "server/rounds/store.h"

namespace tributary::ledger {

// The whole schema of ledger.db: 1 identity, 2 history, 3 authorities, 4 audit chain, 5 rotation of authorities.
std::span<const storage::Migration> LedgerMigrations();

// DIR/ledger.db
std::string LedgerPath(const std::string& directory);

// DIR/ledger.db.schema-N: the ledger as it was at schema N, kept when a newer program found it.
std::string LedgerCopyPath(const std::string& directory, int version);

// Brings it to the newest schema; before the first step a copy of what is there is kept (LedgerCopyPath).
absl::Status MigrateLedger(const std::string& directory, storage::Database& database);

// Opens and migrates DIR/ledger.db (makes it when absent), checking the file first. Errors as Database::Open, and
// FAILED_PRECONDITION for a file made by a newer version. The caller holds the directory's lock.
absl::StatusOr<std::unique_ptr<storage::Database>> OpenLedger(const std::string& directory);
// Beside a running coordinator: changes nothing. FAILED_PRECONDITION unless the schema is the newest.
absl::StatusOr<std::unique_ptr<storage::Database>> OpenLedgerReadOnly(const std::string& directory);

// Who signs receipts and records.
struct Signer {
  std::string federation;                                                     // id
  std::string receipt_certificate_pem;                                        // of the key behind `sign`
  std::string ca_certificate_pem;                                             // the authority that issued it
  std::function<absl::StatusOr<std::string>(std::string_view message)> sign;  // ECDSA P-256 over SHA-256, DER
};

class LedgerStore final : public rounds::RunStore {
 public:
  struct Options {
    storage::Database* database = nullptr;  // migrated already; shared with server/identity
    // Where updates lie. When set, AcceptUpdate checks that the blob is there, and update blobs that the run's
    // keep_updates no longer asks for are deleted as rounds and runs end. When null, blobs are left alone.
    storage::BlobStore* blobs = nullptr;
    Signer signer;
    const Clock* clock = &Clock::System();  // of the two rates
    // What one client may add to the events, and one client or all strangers together to the audit: nobody outside may
    // fill the disk. Rows beyond it are counted instead (TellLeftOut).
    TokenBuckets::Rate peer_rows = {.burst = 100, .one_each = absl::Seconds(30)};
  };
  // Keeps the authority's certificate, finishes deletions that a crash interrupted, and removes the blobs that no row
  // names: their writer was killed in between. So nobody else may write blobs before it has returned.
  static absl::StatusOr<std::unique_ptr<LedgerStore>> Create(Options options);

  // ---- rounds::RunStore
  absl::StatusOr<rounds::RunRow> CreateRun(const rounds::NewRun& run) override;
  absl::StatusOr<rounds::RunRow> GetRun(const std::string& id) override;
  absl::StatusOr<std::string> ResolveRun(const std::string& text) override;
  absl::StatusOr<std::vector<rounds::RunRow>> ListRuns(bool active_only) override;
  absl::Status SetRunState(const std::string& id, const std::string& state, const std::string& reason,
                           int64_t now_unix_ms) override;
  absl::Status SaveStalled(const std::string& id, uint64_t stalled_ms) override;
  absl::StatusOr<rounds::RoundRow> OpenRound(const std::string& run, int64_t now_unix_ms) override;
  absl::StatusOr<std::optional<rounds::RoundRow>> GetOpenRound(const std::string& run) override;
  absl::StatusOr<rounds::RoundRow> GetRound(const std::string& run, uint64_t round) override;
  absl::StatusOr<std::vector<rounds::RoundRow>> ListRounds(const std::string& run) override;
  absl::StatusOr<std::vector<v1::Contribution>> ListContributions(const std::string& run, uint64_t round) override;
  absl::Status CommitInvitations(const std::string& run, uint64_t round, uint64_t target,
                                 const std::vector<rounds::Invitee>& invited, uint64_t select_ms) override;
  absl::Status SaveElapsed(const std::string& run, uint64_t round, uint64_t selecting_ms,
                           uint64_t training_ms) override;
  absl::Status ChangeContribution(const std::string& run, uint64_t round, const std::string& client_id,
                                  const rounds::ContributionChange& change, int64_t now_unix_ms) override;
  absl::StatusOr<rounds::AcceptResult> AcceptUpdate(const rounds::Acceptance& acceptance) override;
  absl::Status BeginAggregating(const std::string& run, uint64_t round, const std::string& open_rows_become,
                                const std::string& reason, uint64_t train_ms) override;
  absl::Status BeginEvaluating(const std::string& run, uint64_t round, const rounds::RoundResult& result) override;
  absl::StatusOr<rounds::RunRow> CommitRound(const std::string& run, uint64_t round,
                                             const rounds::RoundEvaluation& evaluation, const rounds::RoundTimes& times,
                                             int64_t now_unix_ms) override;
  absl::StatusOr<rounds::RunRow> AbandonRound(const std::string& run, uint64_t round, const rounds::Abandonment& why,
                                              int64_t now_unix_ms) override;
  absl::StatusOr<uint64_t> DropRevoked(const std::string& run, uint64_t round) override;
  absl::StatusOr<Task> FindTask(const std::string& task_id) override;
  absl::StatusOr<std::optional<v1::Receipt>> FindReceipt(const std::string& task_id) override;
  absl::StatusOr<std::vector<Link>> ListLinks(const std::string& run, uint64_t from, uint64_t to) override;
  absl::Status AddEvent(const std::string& run, uint64_t round, const std::string& client_id, const std::string& kind,
                        const std::string& detail, int64_t now_unix_ms) override;
  absl::Status AddAudit(const v1::AuditEntry& entry) override;
  absl::StatusOr<std::vector<v1::AuditEntry>> ListAudit(uint64_t limit) override;
  // One audit row for each peer of whom rows were left out since the last call, with their number.
  absl::Status TellLeftOut();

  // ---- beyond the interface
  // At most `limit` rounds, the newest first; those before round `before` (0: from the newest).
  absl::StatusOr<std::vector<rounds::RoundRow>> ListNewestRounds(const std::string& run, uint64_t before,
                                                                 uint64_t limit);
  // What one client did last, newest first, over all runs.
  absl::StatusOr<std::vector<v1::Contribution>> ListClientContributions(const std::string& client_id, uint64_t limit);
  // Whether the run's keep_updates lets go of updates by now.
  absl::StatusOr<bool> LetsGoOfUpdates(const std::string& run);
  // Deletes the update blobs of this run, from this round on, that its keep_updates no longer asks for and that nothing
  // else refers to, and notes each deletion. Called by the store itself as rounds and runs end.
  absl::Status DeleteUnneededUpdates(const std::string& run, uint64_t from_round, int64_t now_unix_ms);

  // The certificate of the key that signs, for runs that begin from now on, and the authority that issued it. The key
  // stays: runs that have begun go on with the certificate that their genesis record names.
  absl::Status SetReceiptCertificate(const std::string& receipt_certificate_pem, const std::string& ca_certificate_pem)
      TRB_EXCLUDES(mu_);

  storage::Database& database() { return *options_.database; }

 private:
  // What a new run's genesis record names.
  struct Witnesses {
    std::string receipt_certificate_pem, ca_certificate_sha256;
  };
  LedgerStore(Options options, Witnesses witnesses)
      : options_(std::move(options)),
        witnesses_(std::move(witnesses)),
        audit_rate_(options_.peer_rows, options_.clock),
        event_rate_(options_.peer_rows, options_.clock) {}

  absl::StatusOr<std::string> AppendRecord(const std::string& run, uint64_t round, const std::string& previous_record);
  absl::Status AbandonInside(const std::string& run, uint64_t round, const rounds::Abandonment& why,
                             int64_t now_unix_ms);
  absl::StatusOr<v1::Receipt> StoreUpdate(const rounds::Acceptance& acceptance, const std::string& previous_record);
  void DropRefusedBlob(const std::string& sha256);
  void TidyUpdates(const std::string& run, uint64_t from_round, int64_t now_unix_ms);

  Witnesses witnesses() const TRB_EXCLUDES(mu_);

  const Options options_;  // but for the certificates of `signer`: witnesses_ are newer
  mutable Mutex mu_;
  Witnesses witnesses_ TRB_GUARDED_BY(mu_);
  TokenBuckets audit_rate_, event_rate_;  // lock themselves; by actor, by client id
};

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_LEDGER_STORE_H_
