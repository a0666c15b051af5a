#include "server/operator/output.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "common/base/text.h"

namespace tributary::op {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// "12", "-3.5", "98.31%", "2.8 MB", "-": what belongs to the right edge of its column.
bool LooksNumeric(const std::string& cell) {
  return !cell.empty() && (cell == "-" || (cell.find_first_of("0123456789") == (cell[0] == '-' ? 1u : 0u) &&
                                           cell.find_first_of(":@/") == std::string::npos && cell.size() < 12));
}

// Displayed width: UTF-8 continuation bytes take no column.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string ScalarText(const Message& m, const FieldDescriptor& f, int index) {
  const Reflection& r = *m.GetReflection();
  const bool many = f.is_repeated();
  switch (f.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? r.GetRepeatedString(m, &f, index) : r.GetString(m, &f);
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(many ? r.GetRepeatedUInt64(m, &f, index) : r.GetUInt64(m, &f));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(many ? r.GetRepeatedInt64(m, &f, index) : r.GetInt64(m, &f));
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(many ? r.GetRepeatedUInt32(m, &f, index) : r.GetUInt32(m, &f));
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(many ? r.GetRepeatedInt32(m, &f, index) : r.GetInt32(m, &f));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return absl::StrFormat("%.17g", many ? r.GetRepeatedDouble(m, &f, index) : r.GetDouble(m, &f));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return absl::StrFormat("%.9g", many ? r.GetRepeatedFloat(m, &f, index) : r.GetFloat(m, &f));
    case FieldDescriptor::CPPTYPE_BOOL:
      return (many ? r.GetRepeatedBool(m, &f, index) : r.GetBool(m, &f)) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return (many ? r.GetRepeatedEnum(m, &f, index) : r.GetEnum(m, &f))->name();
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(many ? r.GetRepeatedMessage(m, &f, index) : r.GetMessage(m, &f));
  }
  return "";
}

std::string FieldText(const Message& m, const FieldDescriptor& f) {
  const Reflection& r = *m.GetReflection();
  if (!f.is_repeated()) return f.has_presence() && !r.HasField(m, &f) ? "" : ScalarText(m, f, 0);
  std::vector<std::string> parts;
  for (int i = 0; i < r.FieldSize(m, &f); ++i) parts.push_back(ScalarText(m, f, i));
  if (f.is_map()) std::sort(parts.begin(), parts.end());  // a map has no order of its own
  return absl::StrJoin(parts, " ");
}

// RFC 4180.
std::string CsvCell(const std::string& raw) {
  const std::string text = EscapeLinesForTerminal(raw);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string ToCsv(const std::vector<const Message*>& rows) {
  std::string out;
  if (rows.empty()) return out;
  const google::protobuf::Descriptor& type = *rows[0]->GetDescriptor();
  std::vector<std::string> cells;
  for (int i = 0; i < type.field_count(); ++i) cells.push_back(type.field(i)->name());
  absl::StrAppend(&out, absl::StrJoin(cells, ","), "\n");
  for (const Message* row : rows) {
    cells.clear();
    for (int i = 0; i < type.field_count(); ++i) cells.push_back(CsvCell(FieldText(*row, *type.field(i))));
    absl::StrAppend(&out, absl::StrJoin(cells, ","), "\n");
  }
  return out;
}

}  // namespace

absl::StatusOr<Format> ParseFormat(std::string_view word) {
  if (word == "table") return Format::kTable;
  if (word == "json") return Format::kJson;
  if (word == "jsonl") return Format::kJsonl;
  if (word == "csv") return Format::kCsv;
  return absl::InvalidArgumentError(absl::StrCat("\"", std::string(word), "\" is none of table, json, jsonl, csv"));
}

void Table::Add(std::vector<std::string> cells) {
  TRB_CHECK(cells.size() == rows_[0].size());
  for (std::string& cell : cells) cell = EscapeForTerminal(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::ToString() const {
  std::vector<size_t> width(rows_[0].size(), 0);
  std::vector<bool> right(rows_[0].size(), rows_.size() > 1);
  for (size_t r = 0; r < rows_.size(); ++r) {
    for (size_t c = 0; c < width.size(); ++c) {
      width[c] = std::max(width[c], Width(rows_[r][c]));
      if (r > 0 && !LooksNumeric(rows_[r][c])) right[c] = false;
    }
  }
  std::string out;
  for (const std::vector<std::string>& row : rows_) {
    std::string line;
    for (size_t c = 0; c < width.size(); ++c) {
      const std::string blanks(width[c] - Width(row[c]), ' ');
      absl::StrAppend(&line, c == 0 ? "" : "  ", right[c] ? blanks : "", row[c], right[c] ? "" : blanks);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

std::string Render(const Answer& answer, Format format) {
  switch (format) {
    case Format::kTable:
      return EscapeLinesForTerminal(answer.table);
    case Format::kJson:
      return ProtoToJson(*answer.document, {.pretty = true});
    case Format::kCsv:
      return ToCsv(answer.rows.empty() ? std::vector<const Message*>{answer.document} : answer.rows);
    case Format::kJsonl:
      break;
  }
  std::string out;
  for (const Message* row : answer.rows) absl::StrAppend(&out, ToJson(*row), "\n");
  if (answer.rows.empty()) absl::StrAppend(&out, ToJson(*answer.document), "\n");
  return out;
}

std::string Number(double value, int decimals) {
  return std::isnan(value) ? "nan" : absl::StrFormat("%.*f", decimals, value);
}

std::string Percent(double share) { return absl::StrCat(Number(share * 100, 2), "%"); }

std::string Short(std::string_view digest) { return digest.empty() ? "-" : std::string(digest.substr(0, 12)); }

std::string Bytes(uint64_t n) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(n);
  size_t u = 0;
  while (value >= 999.95 && u < 4) {
    value /= 1000;
    ++u;
  }
  return u == 0 ? absl::StrCat(n, " B") : absl::StrFormat("%.1f %s", value, units[u]);
}

std::string Millis(uint64_t ms) {
  if (ms < 1000) return absl::StrCat(ms, " ms");
  if (ms < 60000) return absl::StrFormat("%.1f s", static_cast<double>(ms) / 1000);
  return absl::StrFormat("%dm%02ds", ms / 60000, ms / 1000 % 60);
}

std::string When(int64_t unix_ms) {
  if (unix_ms == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

}  // namespace tributary::op
