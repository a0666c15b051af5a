#include "common/history/record_rows.h"

#include <bit>
#include <cmath>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/history/record_body.h"

namespace tributary::history {
namespace {

// One row's columns by name. The first one that is not of the type asked for is remembered in status().
class Columns {
 public:
  explicit Columns(const BodyRow& row) : row_(row) {}
  const absl::Status& status() const { return status_; }

  std::string Text(std::string_view name) { return std::string(Take(name, 't')); }
  std::string Blob(std::string_view name) { return std::string(Take(name, 'b')); }
  int64_t Int(std::string_view name) {
    const std::string_view bytes = Take(name, 'i');
    if (bytes.size() == sizeof(uint64_t)) return static_cast<int64_t>(LoadLe64(bytes.data()));
    Refuse(name);
    return 0;
  }
  // Our integers are never negative.
  uint64_t Uint(std::string_view name) {
    const int64_t value = Int(name);
    if (value < 0) Refuse(name);
    return static_cast<uint64_t>(value);
  }
  std::optional<double> Real(std::string_view name) {
    if (IsNull(name)) return std::nullopt;
    const std::string_view bytes = Take(name, 'r');
    if (bytes.size() == sizeof(uint64_t)) return std::bit_cast<double>(LoadLe64(bytes.data()));
    Refuse(name);
    return std::nullopt;
  }

 private:
  const std::string& Value(std::string_view name) {
    for (const auto& [column, value] : row_.columns) {
      if (column == name) return value;
    }
    Refuse(name);
    return empty_;
  }
  bool IsNull(std::string_view name) { return Value(name) == "n"; }
  std::string_view Take(std::string_view name, char tag) {
    const std::string_view value = Value(name);
    if (!value.empty() && value.front() == tag) return value.substr(1);
    Refuse(name);
    return {};
  }
  void Refuse(std::string_view name) {
    if (status_.ok())
      status_ = absl::DataLossError(absl::StrCat(std::string(name), " in ", row_.table, " is no value of its column"));
  }

  const BodyRow& row_;
  const std::string empty_;
  absl::Status status_;
};

absl::Status CheckColumns(const BodyRow& row, std::string_view table, std::span<const std::string_view> names) {
  bool fits = row.table == table && row.columns.size() == names.size();
  for (size_t i = 0; fits && i < names.size(); ++i) fits = row.columns[i].first == names[i];
  if (fits) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("where a row of ", std::string(table), " should be there is something else"));
}

absl::StatusOr<GenesisRow> ReadGenesis(const BodyRow& row) {
  TRB_RETURN_IF_ERROR(CheckColumns(row, "runs", GenesisColumns()));
  Columns c(row);
  GenesisRow out;
  out.id = c.Text("id");
  out.name = c.Text("name");
  out.federation = c.Text("federation");
  out.plan = c.Blob("plan");
  out.plan_sha256 = c.Text("plan_sha256");
  out.keep_updates = c.Text("keep_updates");
  out.receipt_certificate_pem = c.Text("receipt_certificate_pem");
  out.ca_certificate_sha256 = c.Text("ca_certificate_sha256");
  out.initial_model_sha256 = c.Text("initial_model_sha256");
  out.created_unix_ms = c.Int("created_unix_ms");
  TRB_RETURN_IF_ERROR(c.status());
  return out;
}

void SetMetric(const std::optional<double>& value, v1::Round* round, void (v1::Round::*setter)(double)) {
  if (value) (round->*setter)(*value);
}

void ReadMetrics(Columns* c, v1::Round* round) {
  SetMetric(c->Real("train_loss"), round, &v1::Round::set_train_loss);
  SetMetric(c->Real("validation_loss"), round, &v1::Round::set_validation_loss);
  SetMetric(c->Real("validation_accuracy"), round, &v1::Round::set_validation_accuracy);
  SetMetric(c->Real("test_loss"), round, &v1::Round::set_test_loss);
  SetMetric(c->Real("test_accuracy"), round, &v1::Round::set_test_accuracy);
}

absl::StatusOr<RoundRow> ReadRound(const BodyRow& row, BodyVersion version) {
  TRB_RETURN_IF_ERROR(CheckColumns(row, "rounds", RoundColumns(version)));
  Columns c(row);
  RoundRow out;
  out.previous_record_sha256 = c.Text("previous_record_sha256");
  out.round.set_round(c.Uint("round"));
  out.round.set_state(c.Text("state"));
  out.round.set_base_model_sha256(c.Text("base_model_sha256"));
  out.round.set_model_sha256(c.Text("model_sha256"));
  out.round.set_invited(c.Uint("invited"));
  out.round.set_accepted(c.Uint("accepted"));
  out.round.set_examples(c.Uint("examples"));
  out.round.set_bytes_up(c.Uint("bytes_up"));
  out.round.set_bytes_down(c.Uint("bytes_down"));
  ReadMetrics(&c, &out.round);
  if (version == BodyVersion::kV2) out.audit_sha256 = c.Text("audit_sha256");
  TRB_RETURN_IF_ERROR(c.status());
  return out;
}

absl::StatusOr<ContributionRow> ReadContribution(const BodyRow& row) {
  TRB_RETURN_IF_ERROR(CheckColumns(row, "contributions", ContributionColumns()));
  Columns c(row);
  ContributionRow out;
  out.client_id = c.Text("client_id");
  out.client_name = c.Text("client_name");
  out.task_id = c.Text("task_id");
  out.state = c.Text("state");
  out.examples = c.Uint("examples");
  out.weight = c.Uint("weight");
  out.engine = c.Text("engine");
  out.update_sha256 = c.Text("update_sha256");
  out.update_norm = c.Real("update_norm");
  out.train_loss = c.Real("train_loss");
  out.validation_loss = c.Real("validation_loss");
  out.validation_accuracy = c.Real("validation_accuracy");
  out.validation_examples = c.Uint("validation_examples");
  out.bytes_up = c.Uint("bytes_up");
  out.bytes_down = c.Uint("bytes_down");
  out.queue_ms = c.Uint("queue_ms");
  out.download_ms = c.Uint("download_ms");
  out.train_ms = c.Uint("train_ms");
  out.accepted_unix_ms = c.Int("accepted_unix_ms");
  TRB_RETURN_IF_ERROR(c.status());
  return out;
}

absl::StatusOr<UpdateRow> ReadUpdate(const BodyRow& row) {
  TRB_RETURN_IF_ERROR(CheckColumns(row, "updates", UpdateColumns()));
  Columns c(row);
  UpdateRow out;
  out.task_id = c.Text("task_id");
  out.client_id = c.Text("client_id");
  out.certificate_sha256 = c.Text("certificate_sha256");
  out.update_sha256 = c.Text("update_sha256");
  out.record = c.Blob("record");
  out.signature = c.Blob("signature");
  out.metrics = c.Blob("metrics");
  out.receipt = c.Blob("receipt");
  TRB_RETURN_IF_ERROR(c.status());
  return out;
}

absl::Status CheckBelongs(const BodyRow& row, const std::string& run, uint64_t number) {
  Columns c(row);
  const bool fits = c.Text("run_id") == run && c.Uint("round") == number && c.status().ok();
  return fits ? absl::OkStatus()
              : absl::DataLossError(absl::StrCat("a row of ", EscapeForLog(row.table, 40), " is of another round"));
}

// The rows after the first: contributions by client id, each with its update behind it.
absl::Status ReadClients(std::span<const BodyRow> rows, RecordRows* out) {
  for (const BodyRow& row : rows) {
    if (row.table == "updates") {
      TRB_ASSIGN_OR_RETURN(UpdateRow update, ReadUpdate(row));
      const bool behind = !out->contributions.empty() && out->contributions.back().client_id == update.client_id &&
                          (out->updates.empty() || out->updates.back().client_id != update.client_id);
      if (!behind) return absl::DataLossError("an update does not stand behind its contribution");
      out->updates.push_back(std::move(update));
      continue;
    }
    TRB_ASSIGN_OR_RETURN(ContributionRow contribution, ReadContribution(row));
    if (!out->contributions.empty() && out->contributions.back().client_id >= contribution.client_id)
      return absl::DataLossError("the contributions are not in the order of their clients");
    out->contributions.push_back(std::move(contribution));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RecordRows> ReadRows(std::string_view bytes, const std::string& run, uint64_t number) {
  TRB_ASSIGN_OR_RETURN(const Body body, ParseBody(bytes));
  if (body.rows.empty()) return absl::DataLossError("it has no rows");
  RecordRows out;
  if (number == 0) {
    if (body.rows.size() != 1 || body.version != BodyVersion::kV1)
      return absl::DataLossError("genesis is one row of version 1");
    TRB_ASSIGN_OR_RETURN(out.genesis, ReadGenesis(body.rows[0]));
    return out;
  }
  TRB_ASSIGN_OR_RETURN(out.round, ReadRound(body.rows[0], body.version));
  for (const BodyRow& row : body.rows) TRB_RETURN_IF_ERROR(CheckBelongs(row, run, number));
  TRB_RETURN_IF_ERROR(ReadClients(std::span(body.rows).subspan(1), &out));
  return out;
}

}  // namespace tributary::history
