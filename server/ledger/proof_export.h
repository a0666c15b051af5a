// A run's proof (common/history/proof.h) out of the ledger, piece by piece.
// Threads: belongs to one at a time. The database is borrowed; each piece is read in one view of it, and what was
// closed does not change: the whole is what the run's history was when it began, however long the reader takes.
#ifndef TRIBUTARY_SERVER_LEDGER_PROOF_EXPORT_H_
#define TRIBUTARY_SERVER_LEDGER_PROOF_EXPORT_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "common/base/status.h"
#include "common/history/proof.h"
#include "common/storage/database.h"

namespace tributary::ledger {

class ProofExport {
 public:
  // NOT_FOUND: no such run (id). FAILED_PRECONDITION: the ledger does not have the authority's certificate.
  static absl::StatusOr<std::unique_ptr<ProofExport>> Open(storage::Database* database, const std::string& run);
  // The next bytes, those of one record with the certificates it needs; empty: that was all. DATA_LOSS: a record or a
  // certificate is gone or cannot be read: `history verify` names it.
  absl::StatusOr<std::string> Next();

 private:
  ProofExport(storage::Database* database, std::string run, uint64_t rounds)
      : database_(*database), run_(std::move(run)), last_(rounds) {}
  absl::StatusOr<std::string> RecordPiece(uint64_t round);
  absl::StatusOr<std::string> NewCertificates(uint64_t round);

  storage::Database& database_;
  const std::string run_;
  const uint64_t last_;  // newest record when it began
  std::string begin_;    // goes out first
  uint64_t next_ = 0;    // record
  bool ended_ = false;
  std::set<std::string> sent_;  // certificates, by digest
  history::ProofWriter writer_;
};

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_PROOF_EXPORT_H_
