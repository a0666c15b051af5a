// What verify checks of one record of a run's chain, without the blobs. Internal to server/ledger.
// A finding is what is wrong, in plain words; empty when nothing is. A status that is not OK: it could not be looked
// at.
#ifndef TRIBUTARY_SERVER_LEDGER_ROUND_CHECK_H_
#define TRIBUTARY_SERVER_LEDGER_ROUND_CHECK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/storage/database.h"
#include "server/ledger/history.h"
#include "server/rounds/store.h"

namespace tributary::ledger {

using Finding = absl::StatusOr<std::string>;

// Returns from the function with the finding or the error of `expression`, if there is one.
#define TRB_RETURN_IF_FOUND(expression)                        \
  do {                                                         \
    if (Finding trb_finding = (expression); !trb_finding.ok()) \
      return trb_finding;                                      \
    else if (!trb_finding->empty())                            \
      return trb_finding;                                      \
  } while (false)

// What the chain has come to so far.
struct ChainState {
  std::string run, federation, plan_sha256;
  uint64_t max_weight = 0;                                 // of the plan
  std::optional<crypto::Certificate> authority, receipts;  // checked and set before the first record is
  std::string head;                                        // record before the next one
  std::string model;                                       // newest committed model
  uint64_t rounds_done = 0, abandoned_in_a_row = 0;
  std::optional<v1::Round> best;
};

// One accepted update as the ledger has it.
struct StoredUpdate {
  std::string task_id, client_id, certificate_sha256, update_sha256, record, signature, metrics, receipt;
  std::string certificate_pem, certificate_client_id;  // empty when the ledger does not know the certificate
  uint64_t validation_examples = 0;                    // of its contribution: a column that v1::Contribution has not
};

// " of client c-1", for findings.
std::string OfClient(const StoredUpdate& update);

// Everything of one record, read in one view of the database.
struct RoundFacts {
  uint64_t number = 0;
  std::optional<Record> record;
  std::string body;      // from the rows as they are now; empty when they are gone
  rounds::RoundRow row;  // not for genesis
  std::vector<v1::Contribution> contributions;
  std::vector<StoredUpdate> updates;
};

// Inside a transaction. `number` 0 is genesis.
absl::StatusOr<RoundFacts> ReadRoundFacts(storage::Database& database, const std::string& run, uint64_t number);

// Checks the facts against the chain so far, and moves the chain on.
Finding CheckRound(const RoundFacts& facts, ChainState* chain);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_ROUND_CHECK_H_
