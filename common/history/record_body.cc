#include "common/history/record_body.h"

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"

namespace tributary::history {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view kBodyV1 = "tributary/body/v1\0"sv, kBodyV2 = "tributary/body/v2\0"sv;
constexpr std::string_view kRecordPrefix = "tributary/record/v1\0"sv;

// The order is part of the version: a column that a later schema adds goes into a body of a new one.
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
                                              "closed_unix_ms",
                                              "audit_sha256"};  // since version 2
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
  if (recorded.columns.size() != actual.columns.size()) return absl::StrCat("the columns of ", NameOf(recorded));
  return "";
}

absl::StatusOr<BodyRow> TakeRow(BodyReader* reader) {
  BodyRow row;
  TRB_ASSIGN_OR_RETURN(row.table, reader->Field());
  TRB_ASSIGN_OR_RETURN(const uint64_t columns, reader->Number());
  for (uint64_t i = 0; i < columns; ++i) {
    TRB_ASSIGN_OR_RETURN(std::string name, reader->Field());
    TRB_ASSIGN_OR_RETURN(std::string value, reader->Field());
    row.columns.emplace_back(std::move(name), std::move(value));
  }
  return row;
}

}  // namespace

std::string_view BodyPrefix(BodyVersion version) { return version == BodyVersion::kV1 ? kBodyV1 : kBodyV2; }

std::span<const std::string_view> GenesisColumns() { return kGenesisColumns; }
std::span<const std::string_view> RoundColumns(BodyVersion version) {
  const std::span<const std::string_view> all = kRoundColumns;
  return version == BodyVersion::kV1 ? all.first(all.size() - 1) : all;
}
std::span<const std::string_view> ContributionColumns() { return kContributionColumns; }
std::span<const std::string_view> UpdateColumns() { return kUpdateColumns; }

std::string RecordPreimage(std::string_view previous_record_sha256, std::string_view body_sha256) {
  std::string out(kRecordPrefix);
  out.append(previous_record_sha256);
  out.append(body_sha256);
  return out;
}

absl::StatusOr<Body> ParseBody(std::string_view bytes) {
  Body body;
  if (bytes.starts_with(kBodyV2)) {
    body.version = BodyVersion::kV2;
  } else if (!bytes.starts_with(kBodyV1)) {
    return absl::DataLossError("not a record's body of a version known here");
  }
  BodyReader reader(bytes.substr(kBodyV1.size()));
  while (!reader.done()) {
    TRB_ASSIGN_OR_RETURN(BodyRow row, TakeRow(&reader));
    body.rows.push_back(std::move(row));
  }
  return body;
}

std::string DescribeDifference(std::string_view recorded, std::string_view actual) {
  if (recorded == actual) return "";
  const auto before = ParseBody(recorded), after = ParseBody(actual);
  if (!before.ok() || !after.ok()) return "the recorded body cannot be read";
  const std::vector<BodyRow>&old = before->rows, &now = after->rows;
  for (size_t i = 0; i < old.size() && i < now.size(); ++i) {
    if (std::string what = DescribeRow(old[i], now[i]); !what.empty()) return what;
  }
  if (old.size() > now.size()) return absl::StrCat(NameOf(old[now.size()]), " is gone");
  if (now.size() > old.size()) return absl::StrCat(NameOf(now[old.size()]), " was added");
  return "the recorded body";
}

}  // namespace tributary::history
