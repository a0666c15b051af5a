// IdentityStore on the coordinator's SQLite ledger (tables: identity_schema.h).
#ifndef TRIBUTARY_SERVER_LEDGER_IDENTITY_LEDGER_H_
#define TRIBUTARY_SERVER_LEDGER_IDENTITY_LEDGER_H_

#include <memory>

#include "common/storage/database.h"
#include "server/identity/identity_store.h"

namespace tributary::ledger {

// `database` has been migrated, is borrowed and must outlive the store.
std::unique_ptr<identity::IdentityStore> MakeIdentityLedger(storage::Database& database);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_IDENTITY_LEDGER_H_
