// The rows of the audit in the database: chained as common/history/audit_chain.h says. Internal to server/ledger.
// Threads: as Database.
#ifndef TRIBUTARY_SERVER_LEDGER_AUDIT_LEDGER_H_
#define TRIBUTARY_SERVER_LEDGER_AUDIT_LEDGER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "common/base/status.h"
#include "common/storage/database.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::ledger {

// The second half of schema 4: digests for the rows that are there, oldest first; then the guards. Inside a
// transaction.
absl::Status ChainAudit(storage::Database& database);

// Adds the entry behind the newest one; sequence and digests are given here. Inside a write transaction: its caller's,
// with what the entry tells of where that is in the ledger too.
absl::Status AppendAudit(storage::Database& database, const v1::AuditEntry& entry);

// Entries after `after`, oldest first, a page at a time: other threads get at the database in between.
absl::Status ForEachAudit(storage::Database& database, uint64_t after,
                          const std::function<absl::Status(const v1::AuditEntry&)>& each);

// entry_sha256 of the newest row; empty without one.
absl::StatusOr<std::string> AuditHead(storage::Database& database);

// `rest` is ORDER BY and LIMIT.
absl::Status SelectAudit(storage::Database& database, std::string_view rest, const storage::Args& args,
                         const std::function<absl::Status(v1::AuditEntry)>& each);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_AUDIT_LEDGER_H_
