#include "common/storage/migrations.h"

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"

namespace tributary::storage {
namespace {

int Newest(std::span<const Migration> migrations) { return migrations.empty() ? 0 : migrations.back().version; }

absl::Status Apply(Database& database, const Migration& migration) {
  TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(database));
  TRB_RETURN_IF_ERROR(database.RunScript(migration.sql));
  if (migration.rest != nullptr) TRB_RETURN_IF_ERROR(migration.rest(database));
  TRB_RETURN_IF_ERROR(database.RunScript(absl::StrCat("PRAGMA user_version=", migration.version)));
  return transaction->Commit();
}

}  // namespace

absl::StatusOr<int> SchemaVersion(Database& database) {
  TRB_ASSIGN_OR_RETURN(const int64_t version, database.QueryInt("PRAGMA user_version"));
  return static_cast<int>(version);
}

absl::StatusOr<std::vector<Migration>> PendingMigrations(Database& database, std::span<const Migration> migrations) {
  TRB_ASSIGN_OR_RETURN(const int version, SchemaVersion(database));
  if (version > Newest(migrations))
    return WithFix(absl::FailedPreconditionError(absl::StrCat(database.path(), ": made by a newer version: schema ",
                                                              version, ", this program knows ", Newest(migrations))),
                   "install the version that made it, or a newer one; or restore a backup of before the upgrade");
  std::vector<Migration> pending;
  for (size_t i = 0; i < migrations.size(); ++i) {
    TRB_CHECK(migrations[i].version == static_cast<int>(i) + 1);
    if (migrations[i].version > version) pending.push_back(migrations[i]);
  }
  return pending;
}

absl::Status Migrate(Database& database, std::span<const Migration> migrations) {
  TRB_ASSIGN_OR_RETURN(const std::vector<Migration> pending, PendingMigrations(database, migrations));
  for (const Migration& migration : pending) {
    const absl::Status status = Apply(database, migration);
    if (!status.ok())
      return Annotate(status, absl::StrCat("schema ", migration.version, " (", std::string(migration.name), ")"));
  }
  return absl::OkStatus();
}

absl::Status RequireNewestSchema(Database& database, std::span<const Migration> migrations) {
  TRB_ASSIGN_OR_RETURN(const std::vector<Migration> pending, PendingMigrations(database, migrations));
  if (pending.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(database.path(), ": made by an older version: schema ",
                                                    pending.front().version - 1, ", this program needs ",
                                                    Newest(migrations), "; upgrade it first"));
}

}  // namespace tributary::storage
