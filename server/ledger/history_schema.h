// Schemas 2 and 3 of ledger.db: runs, rounds, contributions, updates, records, and what else happened; then the
// authorities that the runs name. Documented for people who run SQL on it in docs/reference/database.md.
#ifndef TRIBUTARY_SERVER_LEDGER_HISTORY_SCHEMA_H_
#define TRIBUTARY_SERVER_LEDGER_HISTORY_SCHEMA_H_

#include <string_view>

namespace tributary::ledger {

extern const std::string_view kHistorySchema;
extern const std::string_view kAuthoritiesSchema;

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_HISTORY_SCHEMA_H_
