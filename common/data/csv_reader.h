// RFC 4180 rows out of a text in memory: quotes, doubled quotes, line breaks within quotes, LF or CRLF, an optional
// UTF-8 byte order mark. Empty lines are skipped. The delimiter is a comma, or a semicolon or tab when the first line
// has more of those. Threads: belongs to one thread. `text` must outlive the reader.
#ifndef TRIBUTARY_COMMON_DATA_CSV_READER_H_
#define TRIBUTARY_COMMON_DATA_CSV_READER_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace tributary::data {

class CsvReader {
 public:
  explicit CsvReader(std::string_view text);

  // The next row's cells, unquoted, into `cells` (reused). False at the end. INVALID_ARGUMENT, with the line, for a
  // quote that is never closed and for text after a closing quote.
  absl::StatusOr<bool> Next(std::vector<std::string>* cells);
  // The line, from 1, at which the row that Next() gave last begins.
  size_t line() const { return row_line_; }

 private:
  absl::Status ReadQuoted(std::string* cell);
  bool AtLineEnd() const { return at_ >= text_.size() || text_[at_] == '\n' || text_[at_] == '\r'; }
  void SkipLineEnd();

  std::string_view text_;
  char delimiter_ = ',';
  size_t at_ = 0, line_ = 1, row_line_ = 0;
};

}  // namespace tributary::data

#endif  // TRIBUTARY_COMMON_DATA_CSV_READER_H_
