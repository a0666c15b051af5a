#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <unordered_map>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/files.h"
#include "common/data/csv_reader.h"
#include "common/data/source.h"

namespace tributary::data {
namespace {

using Row = std::vector<std::string>;

std::string_view Trimmed(const std::string& cell) {
  const absl::string_view v = absl::StripAsciiWhitespace(cell);
  return {v.data(), v.size()};
}

// A finite number in any spelling that C has for decimals; independent of the locale.
bool ParseNumber(const std::string& cell, double* value) {
  std::string_view text = Trimmed(cell);
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() && std::isfinite(*value);
}

bool IsNumber(const std::string& cell) {
  double ignored;
  return ParseNumber(cell, &ignored);
}

// A first row is a header when some cell of it is text above a number.
bool LooksLikeHeader(const Row& first, const Row& second) {
  for (size_t i = 0; i < first.size() && i < second.size(); ++i) {
    if (!Trimmed(first[i]).empty() && !IsNumber(first[i]) && IsNumber(second[i])) return true;
  }
  return false;
}

// What is to be known before the first example is read.
struct Layout {
  bool has_header = false;
  size_t columns = 0, label = 0;
  Row header;
};

absl::StatusOr<size_t> FindLabel(const Row& first, bool* has_header, const std::string& wanted) {
  const auto column = [&](std::string_view name) -> size_t {
    return static_cast<size_t>(
        std::find_if(first.begin(), first.end(), [&](const std::string& c) { return Trimmed(c) == name; }) -
        first.begin());
  };
  if (wanted.empty()) {
    for (const std::string_view usual : {"label", "class", "y", "target"}) {
      if (*has_header && column(usual) < first.size()) return column(usual);
    }
    return first.size() - 1;
  }
  if (column(wanted) < first.size() && !IsNumber(wanted)) {
    *has_header = true;
    return column(wanted);
  }
  int64_t index = 0;
  const auto count = static_cast<int64_t>(first.size());
  if (!absl::SimpleAtoi(wanted, &index))
    return absl::InvalidArgumentError(absl::StrCat("line 1: no column is called `", EscapeForLog(wanted), "`"));
  if (index < -count || index >= count)
    return absl::InvalidArgumentError(absl::StrCat("line 1: label column ", index, " of ", count, " columns"));
  return static_cast<size_t>(index < 0 ? index + count : index);
}

absl::StatusOr<Layout> FindLayout(const std::string& text, const std::string& label_column) {
  CsvReader reader(text);
  Layout out;
  Row second;
  TRB_ASSIGN_OR_RETURN(const bool any, reader.Next(&out.header));
  if (!any) return absl::InvalidArgumentError("line 1: the file is empty");
  TRB_ASSIGN_OR_RETURN(const bool more, reader.Next(&second));
  out.columns = out.header.size();
  if (out.columns < 2)
    return absl::InvalidArgumentError("line 1: one column only; expected features and a label, with commas between");
  out.has_header = more && LooksLikeHeader(out.header, second);
  TRB_ASSIGN_OR_RETURN(out.label, FindLabel(out.header, &out.has_header, label_column));
  return out;
}

// Gathers rows; labels as text first, because only the last row tells whether all of them are numbers.
class Rows {
 public:
  Rows(const Layout& layout, const LoadOptions& options, std::string path)
      : layout_(layout), options_(options), path_(std::move(path)) {}

  // RESOURCE_EXHAUSTED only; what is wrong with the row is counted.
  absl::Status Add(const Row& row, size_t line) {
    ++raw_.report.found;
    const size_t before = raw_.dataset.features.size();
    for (size_t i = 0; i < row.size(); ++i) {
      if (i == layout_.label) continue;
      double value = 0;
      const bool fits = ParseNumber(row[i], &value) && std::fabs(value) <= std::numeric_limits<float>::max();
      if (!fits) return Drop(before, line, i, row[i]);
      raw_.dataset.features.push_back(static_cast<float>(value));
    }
    if (options_.regression) {
      double target = 0;
      if (!ParseNumber(row[layout_.label], &target) || std::fabs(target) > std::numeric_limits<float>::max())
        return Drop(before, line, layout_.label, row[layout_.label]);
      raw_.dataset.targets.push_back(static_cast<float>(target));
    } else {
      raw_.dataset.labels.push_back(NameNumber(row[layout_.label]));
    }
    lines_.push_back(line);
    return CheckMemory(path_, ++raw_.dataset.count, row.size() * sizeof(float), options_.max_bytes);
  }

  RawData Finish() {
    Dataset& data = raw_.dataset;
    data.channels = layout_.columns - 1;
    if (!options_.regression) LabelsFromNames();
    if (options_.height * options_.width > 1) TakeAsPixels();
    raw_.where = [path = path_, lines = std::move(lines_)](size_t i) { return absl::StrCat(path, ":", lines[i]); };
    return std::move(raw_);
  }

 private:
  absl::Status Drop(size_t features_before, size_t line, size_t column, const std::string& cell) {
    raw_.dataset.features.resize(features_before);
    const std::string name = layout_.has_header ? layout_.header[column] : absl::StrCat(column);
    raw_.report.undecodable.Add(
        absl::StrCat(path_, ":", line, " (column ", name, ": `", cell.substr(0, 40), "` is not a number)"));
    return absl::OkStatus();
  }

  int32_t NameNumber(const std::string& cell) {
    const std::string name(Trimmed(cell));
    const auto [it, is_new] = numbers_.emplace(name, static_cast<int32_t>(raw_.names.size()));
    if (is_new) raw_.names.push_back(name);
    return it->second;
  }

  // Labels that are all numbers ("3", "3.0", "-1") are integers, unless the class list has them as names.
  void LabelsFromNames() {
    std::vector<int32_t> values;
    for (const std::string& name : raw_.names) {
      const bool is_class = std::find(options_.classes.begin(), options_.classes.end(), name) != options_.classes.end();
      double value = 0;
      if (is_class || !ParseNumber(name, &value)) return;
      const bool is_label = value >= 0 && value == std::floor(value) && value <= INT32_MAX;
      values.push_back(is_label ? static_cast<int32_t>(value) : RawData::kNoLabel);
    }
    for (int32_t& label : raw_.dataset.labels) label = values[static_cast<size_t>(label)];
    raw_.names.clear();
  }

  // Images written as rows of bytes (MNIST is often given so) are images where an image is asked for.
  void TakeAsPixels() {
    Dataset& data = raw_.dataset;
    const bool bytes = std::all_of(data.features.begin(), data.features.end(),
                                   [](float v) { return v >= 0 && v <= 255 && v == std::floor(v); });
    if (!bytes || data.count == 0) return;
    data.pixels.assign(data.features.begin(), data.features.end());
    data.features = {};
  }

  const Layout& layout_;
  const LoadOptions& options_;
  const std::string path_;
  RawData raw_;
  std::unordered_map<std::string, int32_t> numbers_;
  std::vector<size_t> lines_;
};

absl::StatusOr<RawData> ReadRows(const std::string& text, const LoadOptions& options, const std::string& path) {
  TRB_ASSIGN_OR_RETURN(const Layout layout, FindLayout(text, options.label_column));
  CsvReader reader(text);
  Row row;
  Rows rows(layout, options, path);
  for (bool first = true;; first = false) {
    TRB_ASSIGN_OR_RETURN(const bool any, reader.Next(&row));
    if (!any) break;
    if (row.size() != layout.columns)
      return absl::InvalidArgumentError(
          absl::StrCat("line ", reader.line(), ": ", row.size(), " columns, expected ", layout.columns));
    if (first && layout.has_header) continue;
    TRB_RETURN_IF_ERROR(rows.Add(row, reader.line()));
  }
  return rows.Finish();
}

class CsvSource final : public Source {
 public:
  explicit CsvSource(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<RawData> Read(const LoadOptions& options) const override {
    TRB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path_, options.max_bytes));
    absl::StatusOr<RawData> raw = ReadRows(text, options, path_);
    if (!raw.ok()) return Annotate(raw.status(), path_);
    return raw;
  }

 private:
  const std::string path_;
};

}  // namespace

std::unique_ptr<Source> MakeCsvSource(std::string path) { return std::make_unique<CsvSource>(std::move(path)); }

}  // namespace tributary::data
