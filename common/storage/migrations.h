// The schema of a database as a numbered list that only ever grows: a file of any older version is brought up to date
// one step at a time, each step one transaction with its number in PRAGMA user_version. Threads: as Database.
#ifndef TRIBUTARY_COMMON_STORAGE_MIGRATIONS_H_
#define TRIBUTARY_COMMON_STORAGE_MIGRATIONS_H_

#include <span>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/storage/database.h"

namespace tributary::storage {

// Versions are 1, 2, 3, ... without gaps. Published SQL is never edited: a change is a new migration. STRICT tables,
// NOT NULL by default, times as INTEGER *_unix_ms.
struct Migration {
  int version;
  std::string_view name;  // e.g. "history"
  std::string_view sql;   // any number of statements, without BEGIN and COMMIT
  // What SQL cannot say (a digest over rows that are there), run after `sql` in the same transaction; may be null.
  absl::Status (*rest)(Database& database) = nullptr;
};

absl::StatusOr<int> SchemaVersion(Database& database);

// What Migrate would do: empty when up to date. FAILED_PRECONDITION for a file made by a newer version, naming the file
// and both versions.
absl::StatusOr<std::vector<Migration>> PendingMigrations(Database& database, std::span<const Migration> migrations);

// Brings the file up to date. After an error it is at the last step that worked.
absl::Status Migrate(Database& database, std::span<const Migration> migrations);

// For read-only openings: FAILED_PRECONDITION unless the file is at exactly the newest version.
absl::Status RequireNewestSchema(Database& database, std::span<const Migration> migrations);

}  // namespace tributary::storage

#endif  // TRIBUTARY_COMMON_STORAGE_MIGRATIONS_H_
