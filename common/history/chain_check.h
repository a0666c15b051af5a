// Walks a run's chain of records and says where it first does not hold: digests, links and signatures of the records,
// what each round's rows say of the models before and after it, the sums and means, and for every accepted update who
// signed what, with which certificate of whom, its receipt, its weight and its figures. Everything is read from the
// records themselves: the coordinator's `verify` and a data owner's `history check` are this same check.
//
// What it cannot see: a history that was rewritten and signed anew, and an end that was cut off. Receipts and a
// remembered record digest show those (receipt_check.h).
//
// Threads: belongs to one. Memory: one record, whatever the length of the chain.
#ifndef TRIBUTARY_COMMON_HISTORY_CHAIN_CHECK_H_
#define TRIBUTARY_COMMON_HISTORY_CHAIN_CHECK_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/crypto/certificate.h"
#include "common/history/finding.h"
#include "common/history/kin.h"
#include "common/history/record_body.h"
#include "common/history/record_rows.h"

namespace tributary::history {

class ChainCheck {
 public:
  // Where certificates come from. A PEM text, spelled as Certificate::pem spells it; empty when there is none of that
  // name.
  struct Certificates {
    std::string place;  // where was looked, for findings: "ledger"
    std::function<absl::StatusOr<std::string>(const std::string& sha256)> authority;
    std::function<absl::StatusOr<std::string>(const std::string& sha256, const std::string& client_id)> client;
    // What links the run's authority to others of its federation; may be empty. Asked when a client's certificate is of
    // none that is known yet.
    std::function<absl::StatusOr<std::vector<AuthorityLink>>()> links;
  };
  explicit ChainCheck(Certificates certificates) : certificates_(std::move(certificates)), head_(kNoRecord) {}

  // Checks the next record, genesis first, against those before it. `rows` becomes what it says, as far as it could be
  // read. After a finding the chain has not moved on.
  Finding CheckNext(const Record& record, RecordRows* rows);

  // ---- of the records checked so far
  uint64_t next() const { return next_; }  // number of the record that CheckNext takes
  const GenesisRow& genesis() const { return genesis_; }
  const std::string& head() const { return head_; }    // digest of the newest record; 64 zeros before genesis
  const std::string& model() const { return model_; }  // newest committed model, or the initial one
  uint64_t rounds_committed() const { return rounds_committed_; }
  uint64_t abandoned_in_a_row() const { return abandoned_in_a_row_; }
  uint64_t best_round() const { return best_ ? best_->round() : 0; }
  uint64_t updates_checked() const { return updates_checked_; }
  const std::optional<crypto::Certificate>& authority() const { return authority_; }
  const std::optional<crypto::Certificate>& receipts() const { return receipts_; }

 private:
  struct Accepted;
  Finding CheckGenesis(const GenesisRow& row);
  Finding CheckSealed(const Record& record) const;
  Finding CheckModels(const RoundRow& row) const;
  Finding CheckSums(const RecordRows& rows) const;
  Finding CheckMeans(const RecordRows& rows) const;
  Finding CheckUpdate(const RecordRows& rows, const UpdateRow& update);
  Finding CheckTerms(const Accepted& accepted) const;
  Finding CheckReceipt(const Accepted& accepted) const;
  Finding CheckClientSignature(const Accepted& accepted);
  void MoveOn(const Record& record, const RecordRows& rows);

  const Certificates certificates_;
  uint64_t next_ = 0;
  GenesisRow genesis_;
  uint64_t max_weight_ = 0;  // of the plan
  std::optional<crypto::Certificate> authority_, receipts_;
  std::vector<crypto::Certificate> kin_;  // of authority_, itself first
  std::string head_, model_;
  uint64_t rounds_committed_ = 0, abandoned_in_a_row_ = 0, updates_checked_ = 0;
  std::optional<v1::Round> best_;
};

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_CHAIN_CHECK_H_
