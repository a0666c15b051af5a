// Schemas 2 to 5 of ledger.db: runs, rounds, contributions, updates, records, and what else happened; then the
// authorities that the runs name; then the chain of the audit; then how authorities replace each other. Documented for
// people who run SQL on it in docs/reference/database.md.
#ifndef TRIBUTARY_SERVER_LEDGER_HISTORY_SCHEMA_H_
#define TRIBUTARY_SERVER_LEDGER_HISTORY_SCHEMA_H_

#include <string_view>

namespace tributary::ledger {

extern const std::string_view kHistorySchema;
extern const std::string_view kAuthoritiesSchema;
extern const std::string_view kAuditChainSchema;   // the columns; then the rows that are there are chained
extern const std::string_view kAuditFrozenSchema;  // what guards them from then on
extern const std::string_view kRotationSchema;

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_HISTORY_SCHEMA_H_
