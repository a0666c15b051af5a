// How answers are printed: documents as JSON straight from protobuf (proto field names, primitives always), rows as
// JSON lines or CSV with the same names, and tables for people. Nothing here writes to a stream: it returns text.
#ifndef TRIBUTARY_SERVER_OPERATOR_OUTPUT_H_
#define TRIBUTARY_SERVER_OPERATOR_OUTPUT_H_

#include <string>
#include <string_view>
#include <vector>

#include "common/base/proto_json.h"
#include "common/base/status.h"

namespace google::protobuf {
class Message;
}

namespace tributary::op {

enum class Format { kTable, kJson, kJsonl, kCsv };

// "table", "json", "jsonl", "csv"; INVALID_ARGUMENT otherwise.
absl::StatusOr<Format> ParseFormat(std::string_view word);

// Columns are as wide as their widest cell; columns whose every cell looks like a number are aligned to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  // As many cells as the header has. Each becomes one line that a terminal may show (common/base/text.h).
  void Add(std::vector<std::string> cells);
  // One line per row, each ending in a newline; no trailing blanks. A table without rows is its header.
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// An answer: the whole document, the rows in it (for jsonl and csv), and the text for people.
struct Answer {
  const google::protobuf::Message* document = nullptr;
  std::vector<const google::protobuf::Message*> rows;
  std::string table;
};
// What a terminal would take for orders is escaped, whoever said it: a client's words reach an operator's screen.
std::string Render(const Answer& answer, Format format);

// One line, no newline.
inline std::string ToJson(const google::protobuf::Message& message) { return ProtoToJson(message); }

// Cells. A metric that was not measured is "-".
std::string Percent(double share);               // 0.98312 -> "98.31%"
std::string Short(std::string_view digest);      // first 12 characters
std::string Bytes(uint64_t n);                   // "2.8 MB"
std::string Millis(uint64_t ms);                 // "850 ms", "12.3 s", "4m05s"
std::string When(int64_t unix_ms);               // UTC, "2026-01-31 12:00:00"; 0 -> "-"
std::string Number(double value, int decimals);  // fixed; NaN -> "nan"

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_OUTPUT_H_
