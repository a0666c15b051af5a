#include "server/ledger/history.h"

#include <bit>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"

namespace tributary::ledger {
namespace {

using history::BodyVersion;
using history::Record;
using storage::Arg;
using storage::Args;
using storage::Database;
using storage::Row;

std::string Select(std::span<const std::string_view> columns, std::string_view rest) {
  std::string sql = "SELECT ";
  for (const std::string_view column : columns) absl::StrAppend(&sql, sql.size() > 7 ? ", " : "", std::string(column));
  absl::StrAppend(&sql, " ", std::string(rest));
  return sql;
}

char TagOf(Arg::Kind kind) {
  switch (kind) {
    case Arg::Kind::kInteger:
      return 'i';
    case Arg::Kind::kReal:
      return 'r';
    case Arg::Kind::kText:
      return 't';
    case Arg::Kind::kBlob:
      return 'b';
    default:
      return 'n';
  }
}

std::string ValueOf(const Row& row, int column) {
  const Arg::Kind kind = row.Kind(column);
  std::string out(1, TagOf(kind));
  if (kind == Arg::Kind::kInteger) AppendLe64(&out, static_cast<uint64_t>(row.Int(column)));
  if (kind == Arg::Kind::kReal) AppendLe64(&out, std::bit_cast<uint64_t>(row.Real(column)));
  if (kind == Arg::Kind::kText || kind == Arg::Kind::kBlob) out.append(row.Text(column));
  return out;
}

void AppendRow(std::string* body, std::string_view table, std::span<const std::string_view> columns, const Row& row) {
  AppendLengthPrefixed(body, table);
  AppendLe64(body, columns.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    AppendLengthPrefixed(body, columns[i]);
    AppendLengthPrefixed(body, ValueOf(row, static_cast<int>(i)));
  }
}

absl::Status AppendOne(Database& database, std::string_view table, std::span<const std::string_view> columns,
                       std::string_view where, const Args& args, std::string* body) {
  const std::string sql = Select(columns, absl::StrCat("FROM ", std::string(table), " WHERE ", std::string(where)));
  TRB_ASSIGN_OR_RETURN(const bool found,
                       database.QueryOne(sql, args, [&](const Row& row) { AppendRow(body, table, columns, row); }));
  if (!found) return absl::NotFoundError(absl::StrCat("no row in ", std::string(table)));
  return absl::OkStatus();
}

absl::Status AppendContributions(Database& database, const std::string& run, uint64_t round, std::string* body) {
  static const std::string* const sql = new std::string(
      Select(history::ContributionColumns(), "FROM contributions WHERE run_id = ?1 AND round = ?2 ORDER BY client_id"));
  static const std::string* const update_sql = new std::string(
      Select(history::UpdateColumns(), "FROM updates WHERE run_id = ?1 AND round = ?2 AND client_id = ?3"));
  return database.Query(*sql, {run, round}, [&](const Row& row) {
    AppendRow(body, "contributions", history::ContributionColumns(), row);
    constexpr int kClientId = 3;
    TRB_CHECK(history::ContributionColumns()[kClientId] == "client_id");
    return database
        .QueryOne(*update_sql, {run, round, row.Text(kClientId)},
                  [&](const Row& update) { AppendRow(body, "updates", history::UpdateColumns(), update); })
        .status();
  });
}

// Rounds that were closed before the audit was chained are in bodies of version 1.
absl::StatusOr<BodyVersion> VersionOf(Database& database, const std::string& run, uint64_t round) {
  std::string audit;
  TRB_ASSIGN_OR_RETURN(const bool found,
                       database.QueryOne("SELECT audit_sha256 FROM rounds WHERE run_id = ?1 AND round = ?2",
                                         {run, round}, [&](const Row& row) { audit = row.Text(0); }));
  if (!found) return absl::NotFoundError("no row in rounds");
  return audit.empty() ? BodyVersion::kV1 : BodyVersion::kV2;
}

}  // namespace

absl::StatusOr<std::string> BuildBody(Database& database, const std::string& run, uint64_t round) {
  if (round == 0) {
    std::string body(history::BodyPrefix(BodyVersion::kV1));
    TRB_RETURN_IF_ERROR(AppendOne(database, "runs", history::GenesisColumns(), "id = ?1", {run}, &body));
    return body;
  }
  TRB_ASSIGN_OR_RETURN(const BodyVersion version, VersionOf(database, run, round));
  std::string body(history::BodyPrefix(version));
  TRB_RETURN_IF_ERROR(
      AppendOne(database, "rounds", history::RoundColumns(version), "run_id = ?1 AND round = ?2", {run, round}, &body));
  TRB_RETURN_IF_ERROR(AppendContributions(database, run, round, &body));
  return body;
}

absl::StatusOr<Record> ReadRecord(Database& database, const std::string& run, uint64_t round) {
  Record record;
  TRB_ASSIGN_OR_RETURN(const bool found,
                       database.QueryOne("SELECT previous_record_sha256, body_sha256, record_sha256, signature, body "
                                         "FROM records WHERE run_id = ?1 AND round = ?2",
                                         {run, round}, [&](const Row& row) {
                                           record = {row.Text(0), row.Text(1), row.Text(2), row.Text(3), row.Text(4)};
                                         }));
  if (!found) return absl::NotFoundError(absl::StrCat("no record of round ", round, " of run ", run));
  return record;
}

}  // namespace tributary::ledger
