// The file itself: where it is, its schema, how it is opened.
#include <array>

#include "absl/strings/str_cat.h"
#include "server/ledger/audit_ledger.h"
#include "server/ledger/history_schema.h"
#include "server/ledger/identity_schema.h"
#include "server/ledger/ledger_store.h"

namespace tributary::ledger {
namespace {

storage::Database::Options LedgerOptions(bool read_only) {
  storage::Database::Options options;
  options.read_only = read_only;
  options.check = true;
  options.way_out = "stop the coordinator and restore a backup: tributary-coordinator restore --from FILE --dir DIR";
  return options;
}

}  // namespace

std::span<const storage::Migration> LedgerMigrations() {
  static const std::array<storage::Migration, 4> migrations = {{
      {1, "identity", kIdentityMigrationSql},
      {2, "history", kHistorySchema},
      {3, "authorities", kAuthoritiesSchema},
      {4, "audit chain", kAuditChainSchema, &ChainAudit},
  }};
  return migrations;
}

std::string LedgerPath(const std::string& directory) { return absl::StrCat(directory, "/ledger.db"); }

absl::StatusOr<std::unique_ptr<storage::Database>> OpenLedger(const std::string& directory) {
  TRB_ASSIGN_OR_RETURN(auto database, storage::Database::Open(LedgerPath(directory), LedgerOptions(false)));
  TRB_RETURN_IF_ERROR(storage::Migrate(*database, LedgerMigrations()));
  return database;
}

absl::StatusOr<std::unique_ptr<storage::Database>> OpenLedgerReadOnly(const std::string& directory) {
  TRB_ASSIGN_OR_RETURN(auto database, storage::Database::Open(LedgerPath(directory), LedgerOptions(true)));
  TRB_RETURN_IF_ERROR(storage::RequireNewestSchema(*database, LedgerMigrations()));
  return database;
}

}  // namespace tributary::ledger
