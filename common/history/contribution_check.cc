#include "common/history/contribution_check.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"

namespace tributary::history {
namespace {

Finding CheckMetrics(const ContributionRow& row, const UpdateRow& update) {
  v1::UpdateMetrics m;
  if (!m.ParseFromString(update.metrics)) return absl::StrCat("the metrics", OfClient(update), " cannot be read");
  const std::pair<const char*, bool> columns[] = {
      {"engine", row.engine == m.engine()},
      {"update_norm", SameFigure(row.update_norm, true, m.update_norm())},
      {"train_loss", SameFigure(row.train_loss, m.has_train_loss(), m.train_loss())},
      {"validation_loss", SameFigure(row.validation_loss, m.has_validation_loss(), m.validation_loss())},
      {"validation_accuracy",
       SameFigure(row.validation_accuracy, m.has_validation_accuracy(), m.validation_accuracy())},
      {"validation_examples", row.validation_examples == m.validation_examples()},
      {"queue_ms", row.queue_ms == m.queue_ms()},
      {"download_ms", row.download_ms == m.download_ms()},
      {"train_ms", row.train_ms == m.train_ms()},
  };
  for (const auto& [column, fits] : columns) {
    if (!fits) return absl::StrCat(column, OfClient(update), " is not what the client signed");
  }
  return kNothing;
}

}  // namespace

bool SameFigure(const std::optional<double>& figure, bool has, double value) {
  return figure.has_value() == has && (!has || *figure == value);
}

std::string OfClient(const UpdateRow& update) {
  return absl::StrCat(" of client ", EscapeForLog(update.client_id, 64));
}

Finding CheckFigures(const ContributionRow& row, const UpdateRow& update, const v1::UpdateRecord& record,
                     uint64_t max_weight) {
  if (row.weight != std::min<uint64_t>(record.examples(), max_weight))
    return absl::StrCat("the weight", OfClient(update), " is not its examples, capped as the plan says");
  // More may have come: what was refused, or began anew.
  if (row.bytes_up < record.length()) return absl::StrCat("bytes_up", OfClient(update), " is less than its update has");
  return CheckMetrics(row, update);
}

}  // namespace tributary::history
