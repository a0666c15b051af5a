// Recomputes a run's history from what is stored and says where it first does not fit: every column of closed rounds
// against the records, then the chain of records (common/history/chain_check.h), the run's own row against the chain
// and the audit, and (on request) every byte of every model and update. Without a run also the audit, row by row.
//
// What it cannot see: a coordinator that rewrites everything and signs it anew; rows cut off at the end of the audit,
// after the newest closed round, with SQLite's own count of them. Receipts at clients and a remembered head digest
// (`head`) show that.
//
// Threads: safe from any thread. Works beside a running coordinator; a round that is open is not looked at.
#ifndef TRIBUTARY_SERVER_LEDGER_VERIFY_H_
#define TRIBUTARY_SERVER_LEDGER_VERIFY_H_

#include <string>

#include "common/base/status.h"
#include "common/storage/blob_store.h"
#include "common/storage/database.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::ledger {

struct VerifyOptions {
  std::string run;    // id; empty: every run, oldest first
  bool blobs = true;  // read and re-hash every model and update
  std::string head;   // of a record or a row of the audit, as someone remembers it: must be there. Empty: none
};

// The answer holds the first fault, if any: run, round (0 = genesis) and what, in plain words. A status that is not OK
// means that it could not be checked (NOT_FOUND: no such run; DATA_LOSS: the database itself is damaged). Blobs that
// were deleted as keep_updates says are counted as missing, which is no fault; one that the rule keeps is.
absl::StatusOr<v1::HistoryVerification> VerifyHistory(storage::Database& database, const storage::BlobStore& blobs,
                                                      const VerifyOptions& options);

// The same for a coordinator's directory, opened read-only.
absl::StatusOr<v1::HistoryVerification> VerifyDirectory(const std::string& directory, const VerifyOptions& options);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_VERIFY_H_
