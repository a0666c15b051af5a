// The hash chain of a run, from and in the database. Its layout: common/history/record_body.h.
// Threads: functions of a Database.
#ifndef TRIBUTARY_SERVER_LEDGER_HISTORY_H_
#define TRIBUTARY_SERVER_LEDGER_HISTORY_H_

#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "common/history/record_body.h"
#include "common/storage/database.h"

namespace tributary::ledger {

// The body of a record as the rows are now. Round 0 is genesis. NOT_FOUND. In version 1 when the round names no audit
// row, as all rounds that were closed before schema 4; else in version 2.
absl::StatusOr<std::string> BuildBody(storage::Database& database, const std::string& run, uint64_t round);

// NOT_FOUND.
absl::StatusOr<history::Record> ReadRecord(storage::Database& database, const std::string& run, uint64_t round);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_HISTORY_H_
