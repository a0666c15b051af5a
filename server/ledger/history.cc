#include "server/ledger/history.h"

#include <bit>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"

namespace tributary::ledger {
namespace {

using std::string_view_literals::operator""sv;
using storage::Arg;
using storage::Args;
using storage::Database;
using storage::Row;

constexpr std::string_view kBodyPrefix = "tributary/body/v1\0"sv;
constexpr std::string_view kRecordPrefix = "tributary/record/v1\0"sv;

// The order is part of version 1 of the body: a column that a later schema adds goes into a body of version 2.
constexpr std::string_view kGenesisColumns[] = {"id",
                                                "name",
                                                "federation",
                                                "rounds_total",
                                                "seed",
                                                "plan",
                                                "plan_sha256",
                                                "keep_updates",
                                                "receipt_certificate_pem",
                                                "ca_certificate_sha256",
                                                "initial_model_sha256",
                                                "created_unix_ms"};
constexpr std::string_view kRoundColumns[] = {"run_id",
                                              "round",
                                              "state",
                                              "reason",
                                              "previous_record_sha256",
                                              "base_model_sha256",
                                              "model_sha256",
                                              "target",
                                              "invited",
                                              "accepted",
                                              "examples",
                                              "train_loss",
                                              "validation_loss",
                                              "validation_accuracy",
                                              "test_loss",
                                              "test_accuracy",
                                              "test_f1",
                                              "test_precision",
                                              "test_recall",
                                              "model_norm",
                                              "bytes_up",
                                              "bytes_down",
                                              "select_ms",
                                              "train_ms",
                                              "aggregate_ms",
                                              "evaluate_ms",
                                              "total_ms",
                                              "overhead_ms",
                                              "selecting_elapsed_ms",
                                              "training_elapsed_ms",
                                              "started_unix_ms",
                                              "closed_unix_ms"};
constexpr std::string_view kContributionColumns[] = {"sequence",
                                                     "run_id",
                                                     "round",
                                                     "client_id",
                                                     "client_name",
                                                     "task_id",
                                                     "state",
                                                     "reason",
                                                     "examples",
                                                     "weight",
                                                     "engine",
                                                     "update_sha256",
                                                     "update_norm",
                                                     "train_loss",
                                                     "validation_loss",
                                                     "validation_accuracy",
                                                     "validation_examples",
                                                     "bytes_up",
                                                     "bytes_down",
                                                     "queue_ms",
                                                     "download_ms",
                                                     "train_ms",
                                                     "upload_ms",
                                                     "accepted_unix_ms"};
constexpr std::string_view kUpdateColumns[] = {
    "task_id",       "run_id", "round",     "client_id", "certificate_sha256",
    "update_sha256", "record", "signature", "metrics",   "receipt"};

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
      Select(kContributionColumns, "FROM contributions WHERE run_id = ?1 AND round = ?2 ORDER BY client_id"));
  static const std::string* const update_sql =
      new std::string(Select(kUpdateColumns, "FROM updates WHERE run_id = ?1 AND round = ?2 AND client_id = ?3"));
  return database.Query(*sql, {run, round}, [&](const Row& row) {
    AppendRow(body, "contributions", kContributionColumns, row);
    constexpr int kClientId = 3;
    static_assert(kContributionColumns[kClientId] == "client_id");
    return database
        .QueryOne(*update_sql, {run, round, row.Text(kClientId)},
                  [&](const Row& update) { AppendRow(body, "updates", kUpdateColumns, update); })
        .status();
  });
}

// Takes framed fields off the front of a body.
class BodyReader {
 public:
  explicit BodyReader(std::string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }

  absl::StatusOr<uint64_t> Number() {
    if (rest_.size() < 8) return absl::DataLossError("a record's body ends in the middle");
    const uint64_t value = LoadLe64(rest_.data());
    rest_.remove_prefix(8);
    return value;
  }

  absl::StatusOr<std::string> Field() {
    TRB_ASSIGN_OR_RETURN(const uint64_t size, Number());
    if (size > rest_.size()) return absl::DataLossError("a record's body ends in the middle");
    std::string field(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return field;
  }

 private:
  std::string_view rest_;
};

std::string Column(const BodyRow& row, std::string_view name) {
  for (const auto& [column, value] : row.columns) {
    if (column == name && !value.empty()) return value.substr(1);
  }
  return "";
}

std::string NameOf(const BodyRow& row) {
  const std::string client = Column(row, "client_id");
  return client.empty() ? row.table : absl::StrCat(row.table, " of client ", EscapeForLog(client, 64));
}

std::string DescribeRow(const BodyRow& recorded, const BodyRow& actual) {
  if (NameOf(recorded) != NameOf(actual))
    return absl::StrCat("recorded was ", NameOf(recorded), ", there is ", NameOf(actual));
  for (size_t i = 0; i < recorded.columns.size() && i < actual.columns.size(); ++i) {
    if (recorded.columns[i] != actual.columns[i])
      return absl::StrCat(recorded.columns[i].first, " in ", NameOf(recorded));
  }
  return "";
}

}  // namespace

std::span<const std::string_view> GenesisColumns() { return kGenesisColumns; }
std::span<const std::string_view> RoundColumns() { return kRoundColumns; }
std::span<const std::string_view> ContributionColumns() { return kContributionColumns; }
std::span<const std::string_view> UpdateColumns() { return kUpdateColumns; }

std::string RecordPreimage(std::string_view previous_record_sha256, std::string_view body_sha256) {
  std::string out(kRecordPrefix);
  out.append(previous_record_sha256);
  out.append(body_sha256);
  return out;
}

absl::StatusOr<std::string> BuildBody(Database& database, const std::string& run, uint64_t round) {
  std::string body(kBodyPrefix);
  if (round == 0) {
    TRB_RETURN_IF_ERROR(AppendOne(database, "runs", kGenesisColumns, "id = ?1", {run}, &body));
    return body;
  }
  TRB_RETURN_IF_ERROR(AppendOne(database, "rounds", kRoundColumns, "run_id = ?1 AND round = ?2", {run, round}, &body));
  TRB_RETURN_IF_ERROR(AppendContributions(database, run, round, &body));
  return body;
}

absl::StatusOr<std::vector<BodyRow>> ParseBody(std::string_view body) {
  if (!body.starts_with(kBodyPrefix)) return absl::DataLossError("not a record's body");
  BodyReader reader(body.substr(kBodyPrefix.size()));
  std::vector<BodyRow> rows;
  while (!reader.done()) {
    BodyRow row;
    TRB_ASSIGN_OR_RETURN(row.table, reader.Field());
    TRB_ASSIGN_OR_RETURN(const uint64_t columns, reader.Number());
    for (uint64_t i = 0; i < columns; ++i) {
      TRB_ASSIGN_OR_RETURN(std::string name, reader.Field());
      TRB_ASSIGN_OR_RETURN(std::string value, reader.Field());
      row.columns.emplace_back(std::move(name), std::move(value));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string DescribeDifference(std::string_view recorded, std::string_view actual) {
  if (recorded == actual) return "";
  const auto before = ParseBody(recorded), after = ParseBody(actual);
  if (!before.ok() || !after.ok()) return "the recorded body cannot be read";
  for (size_t i = 0; i < before->size() && i < after->size(); ++i) {
    if (std::string what = DescribeRow((*before)[i], (*after)[i]); !what.empty()) return what;
  }
  if (before->size() > after->size()) return absl::StrCat(NameOf((*before)[after->size()]), " is gone");
  if (after->size() > before->size()) return absl::StrCat(NameOf((*after)[before->size()]), " was added");
  return "the recorded body";
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
