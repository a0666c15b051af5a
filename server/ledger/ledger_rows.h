// Rows of ledger.db as the messages that the rest of the program speaks. Internal to server/ledger.
#ifndef TRIBUTARY_SERVER_LEDGER_LEDGER_ROWS_H_
#define TRIBUTARY_SERVER_LEDGER_LEDGER_ROWS_H_

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/storage/database.h"
#include "server/rounds/store.h"

namespace tributary::ledger {

inline bool IsClosed(std::string_view round_state) { return round_state == "committed" || round_state == "abandoned"; }
inline bool IsActive(std::string_view run_state) { return run_state == "running" || run_state == "stalled"; }
// Of a contribution: may still become an accepted update.
inline bool IsOpen(std::string_view contribution_state) {
  return contribution_state == "invited" || contribution_state == "accepted_task";
}

// `rest` is WHERE, ORDER BY, LIMIT. The tables are called `runs`, `rounds`, `contributions` in it.
absl::StatusOr<std::vector<rounds::RunRow>> SelectRuns(storage::Database& database, std::string_view rest,
                                                       const storage::Args& args = {});
absl::StatusOr<std::vector<rounds::RoundRow>> SelectRounds(storage::Database& database, std::string_view rest,
                                                           const storage::Args& args = {});
absl::StatusOr<std::vector<v1::Contribution>> SelectContributions(storage::Database& database, std::string_view rest,
                                                                  const storage::Args& args = {});

// Exactly one, or NOT_FOUND that names it.
absl::StatusOr<rounds::RunRow> SelectRun(storage::Database& database, const std::string& id);
absl::StatusOr<rounds::RoundRow> SelectRound(storage::Database& database, const std::string& run, uint64_t round);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_LEDGER_ROWS_H_
