// Checks a proof file from its first byte to its last, without a coordinator, and remembers what receipts are compared
// with. Threads: belongs to one. Memory: one record, the certificates, and 64 bytes a round.
#ifndef TRIBUTARY_COMMON_HISTORY_PROOF_CHECK_H_
#define TRIBUTARY_COMMON_HISTORY_PROOF_CHECK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::history {

// An update that the proof has, as far as its owner asks.
struct ProvedUpdate {
  uint64_t round = 0;
  std::string round_state;  // committed or abandoned
  std::string record;       // serialised UpdateRecord
  std::string client_name;
  uint64_t weight = 0, examples = 0;  // of the update; of the whole round
};

struct CheckedProof {
  std::string fault;         // the first one, in words; empty: the proof holds
  uint64_t fault_round = 0;  // 0: genesis, or before it
  std::string run, run_name, federation, model_sha256;
  std::string genesis_sha256, plan_sha256, receipt_certificate_pem;
  std::string authority_sha256;       // that the run's genesis names
  std::set<std::string> authorities;  // all whose word for that one the proof has, itself among them
  uint64_t rounds_committed = 0, updates_checked = 0;
  std::vector<std::string> records;             // digests, genesis first, as far as the proof holds
  std::map<std::string, ProvedUpdate> updates;  // by task id: those in `wanted`
  std::optional<crypto::Certificate> receipts;  // whose key signs receipts
};

// `pinned`: digests of CA certificates on one of which it must hang: one is the run's, or vouches for it (cross
// certificates in the proof); empty when nobody says. `wanted`: task ids. A status that is not OK
// means that the file could not be read, or is no proof at all.
absl::StatusOr<CheckedProof> CheckProof(const std::string& path, const std::set<std::string>& pinned,
                                        const std::set<std::string>& wanted);

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_PROOF_CHECK_H_
