// What a data owner's own receipts say of a proof: whether each receipted update is in the model, with which weight, or
// what contradicts it. And the history that the owner's client remembers. Threads: pure.
#ifndef TRIBUTARY_COMMON_HISTORY_RECEIPT_CHECK_H_
#define TRIBUTARY_COMMON_HISTORY_RECEIPT_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/history/finding.h"
#include "common/history/proof_check.h"
#include "tributary/v1/operator.pb.h"
#include "tributary/v1/update.pb.h"

namespace tributary::history {

// What a client's ledger remembers of a run (docs/reference/database.md, client.db, `runs`).
struct RememberedRun {
  std::string run_id, genesis_sha256, receipt_certificate_pem;
  uint64_t round = 0;                  // of the newest task seen
  std::string previous_record_sha256;  // that it carried: the record of the round before
};

// The proof has been checked and holds; the receipt names its run. ReceiptCheck (operator.proto) lists the verdicts.
v1::ReceiptCheck CheckReceipt(const v1::Receipt& receipt, const CheckedProof& proof);
// Whether this verdict says that the receipt and the proof cannot both be true, or that the proof does not reach it.
bool Contradicts(const v1::ReceiptCheck& check);

// What contradicts; `agreement` becomes "agrees" or, where the client has seen more than the proof has, "newer".
Finding CheckRemembered(const RememberedRun& memory, const CheckedProof& proof, std::string* agreement);

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_RECEIPT_CHECK_H_
