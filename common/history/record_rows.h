// The rows of a record's body with their types. Strict: the columns that the version has, in their order and of their
// types, the rows in the order that the layout says, each of the round that the record is of. A body comes from
// anywhere.
// Threads: pure.
#ifndef TRIBUTARY_COMMON_HISTORY_RECORD_ROWS_H_
#define TRIBUTARY_COMMON_HISTORY_RECORD_ROWS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::history {

// Columns as in `runs` (docs/reference/database.md).
struct GenesisRow {
  std::string id, name, federation, plan, plan_sha256, keep_updates, receipt_certificate_pem, ca_certificate_sha256,
      initial_model_sha256;
  int64_t created_unix_ms = 0;
};

// As in `rounds`: those that a check needs.
struct RoundRow {
  std::string previous_record_sha256;
  v1::Round round;           // state, models, counts, bytes and metrics
  std::string audit_sha256;  // empty in version 1
};

// As in `contributions`.
struct ContributionRow {
  std::string client_id, client_name, task_id, state, engine, update_sha256;
  uint64_t examples = 0, weight = 0, validation_examples = 0, bytes_up = 0, bytes_down = 0;
  uint64_t queue_ms = 0, download_ms = 0, train_ms = 0;
  std::optional<double> update_norm, train_loss, validation_loss, validation_accuracy;
  int64_t accepted_unix_ms = 0;
};

// As in `updates`.
struct UpdateRow {
  std::string task_id, client_id, certificate_sha256, update_sha256, record, signature, metrics, receipt;
};

struct RecordRows {
  std::optional<GenesisRow> genesis;           // of record 0 only
  std::optional<RoundRow> round;               // of all others
  std::vector<ContributionRow> contributions;  // by client id
  std::vector<UpdateRow> updates;              // by client id
};

// `run` is not looked at when number is 0: genesis says which run it is. DATA_LOSS: what does not fit.
absl::StatusOr<RecordRows> ReadRows(std::string_view body, const std::string& run, uint64_t number);

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_RECORD_ROWS_H_
