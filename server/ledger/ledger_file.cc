// The file itself: where it is, its schema, how it is opened.
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/base/fail_point.h"
#include "common/base/file_descriptor.h"
#include "common/base/files.h"
#include "common/base/logging.h"
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

// One consistent state in one file without a log beside it. Complete when it has its name.
absl::Status KeepCopy(storage::Database& database, const std::string& directory, const std::string& to) {
  const std::string making = absl::StrCat(to, ".new");
  TRB_RETURN_IF_ERROR(RemoveFile(making));                  // of an attempt that was cut off
  TRB_RETURN_IF_ERROR(WriteFileDurably(making, "", 0600));  // private before anything is in it
  TRB_RETURN_IF_ERROR(database.Run("VACUUM INTO ?1", {making}));
  {
    const Fd fd(open(making.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return ErrnoToStatus(errno, absl::StrCat("open ", making));
    TRB_RETURN_IF_ERROR(SyncFile(fd.get(), making));
  }
  TRB_FAIL_POINT("ledger.copied");
  if (rename(making.c_str(), to.c_str()) != 0) return ErrnoToStatus(errno, absl::StrCat("rename ", making, " to ", to));
  return SyncDirectory(directory);
}

}  // namespace

std::span<const storage::Migration> LedgerMigrations() {
  static const std::array<storage::Migration, 5> migrations = {{
      {1, "identity", kIdentityMigrationSql},
      {2, "history", kHistorySchema},
      {3, "authorities", kAuthoritiesSchema},
      {4, "audit chain", kAuditChainSchema, &ChainAudit},
      {5, "rotation", kRotationSchema},
  }};
  return migrations;
}

std::string LedgerPath(const std::string& directory) { return absl::StrCat(directory, "/ledger.db"); }

std::string LedgerCopyPath(const std::string& directory, int version) {
  return absl::StrCat(LedgerPath(directory), ".schema-", version);
}

absl::Status MigrateLedger(const std::string& directory, storage::Database& database) {
  TRB_ASSIGN_OR_RETURN(const auto pending, storage::PendingMigrations(database, LedgerMigrations()));
  TRB_ASSIGN_OR_RETURN(const int version, storage::SchemaVersion(database));
  if (version > 0 && !pending.empty()) {
    const std::string copy = LedgerCopyPath(directory, version);
    TRB_RETURN_IF_ERROR(
        Annotate(KeepCopy(database, directory, copy), "the ledger is left as it is: no copy could be kept"));
    Log(LogLevel::kInfo, "ledger_copied_before_upgrade", {{"file", copy}});
  }
  return storage::Migrate(database, LedgerMigrations());
}

absl::StatusOr<std::unique_ptr<storage::Database>> OpenLedger(const std::string& directory) {
  TRB_ASSIGN_OR_RETURN(auto database, storage::Database::Open(LedgerPath(directory), LedgerOptions(false)));
  TRB_RETURN_IF_ERROR(MigrateLedger(directory, *database));
  return database;
}

absl::StatusOr<std::unique_ptr<storage::Database>> OpenLedgerReadOnly(const std::string& directory) {
  TRB_ASSIGN_OR_RETURN(auto database, storage::Database::Open(LedgerPath(directory), LedgerOptions(true)));
  TRB_RETURN_IF_ERROR(storage::RequireNewestSchema(*database, LedgerMigrations()));
  return database;
}

}  // namespace tributary::ledger
