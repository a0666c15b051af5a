// Schema 2 of ledger.db: runs, rounds, contributions, updates, records, and what else happened. Documented for people
// who run SQL on it in docs/reference/database.md.
#ifndef TRIBUTARY_SERVER_LEDGER_HISTORY_SCHEMA_H_
#define TRIBUTARY_SERVER_LEDGER_HISTORY_SCHEMA_H_

#include <string_view>

namespace tributary::ledger {

extern const std::string_view kHistorySchema;

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_HISTORY_SCHEMA_H_
