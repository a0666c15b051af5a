// The answer of `tributary history check`: a proof file, and what a data owner's own receipts say of it. Reads files
// only. Threads: safe from any thread.
#ifndef TRIBUTARY_SERVER_OPERATOR_PROOF_CHECK_DOCUMENT_H_
#define TRIBUTARY_SERVER_OPERATOR_PROOF_CHECK_DOCUMENT_H_

#include <string>

#include "common/base/status.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::op {

struct ProofQuestion {
  std::string file;
  std::string uploads;  // a client's directory, or a list of uploads as JSON; empty: no receipts
  std::string ca;       // a PEM file; empty: none
};

// A status that is not OK means that something could not be read; what does not hold is in the answer.
absl::StatusOr<v1::HistoryCheck> CheckProofFile(const ProofQuestion& question);

std::string HistoryCheckTable(const v1::HistoryCheck& check);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_PROOF_CHECK_DOCUMENT_H_
