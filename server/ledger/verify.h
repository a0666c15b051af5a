// Recomputes a run's history from what is stored and says where it first does not fit: the chain of records, every
// column of closed rounds, the signatures of updates, receipts and records, who those certificates were issued to, by
// whom and for when, that each contribution's figures are the signed ones and its weight the plan's, the sums, and (on
// request) every byte of every model and update.
//
// What it cannot see: a coordinator that rewrites everything and signs it anew. Receipts at clients and a remembered
// head digest (`head`) show that.
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
  std::string head;   // a record digest that someone remembers; must be in a chain that is looked at. Empty: none
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
