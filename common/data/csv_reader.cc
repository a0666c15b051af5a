#include "common/data/csv_reader.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tributary::data {
namespace {

constexpr size_t kMostColumns = size_t{1} << 22;  // a cell takes 32 bytes however little is in it

}  // namespace

CsvReader::CsvReader(std::string_view text) : text_(text) {
  if (text_.substr(0, 3) == "\xEF\xBB\xBF") text_.remove_prefix(3);
  const std::string_view first = text_.substr(0, text_.find('\n'));
  auto most = std::count(first.begin(), first.end(), ',');
  for (const char candidate : {';', '\t'}) {
    const auto n = std::count(first.begin(), first.end(), candidate);
    if (n <= most) continue;
    most = n;
    delimiter_ = candidate;
  }
}

void CsvReader::SkipLineEnd() {
  if (at_ < text_.size() && text_[at_] == '\r') ++at_;
  if (at_ < text_.size() && text_[at_] == '\n') ++at_;
  ++line_;
}

absl::Status CsvReader::ReadQuoted(std::string* cell) {
  const size_t begin_line = line_;
  for (++at_; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '"') {
      if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
      ++at_;
    } else if (c == '\n') {
      ++line_;
    }
    cell->push_back(c);
  }
  if (at_ >= text_.size())
    return absl::InvalidArgumentError(absl::StrCat("line ", begin_line, ": a quote is never closed"));
  ++at_;
  if (!AtLineEnd() && text_[at_] != delimiter_)
    return absl::InvalidArgumentError(absl::StrCat("line ", line_, ": text after a closing quote"));
  return absl::OkStatus();
}

absl::StatusOr<bool> CsvReader::Next(std::vector<std::string>* cells) {
  while (at_ < text_.size() && AtLineEnd()) SkipLineEnd();
  if (at_ >= text_.size()) return false;
  row_line_ = line_;
  size_t used = 0;
  for (;;) {
    if (used == kMostColumns)
      return absl::InvalidArgumentError(absl::StrCat("line ", row_line_, ": more than ", kMostColumns, " columns"));
    if (cells->size() == used) cells->emplace_back();
    std::string& cell = (*cells)[used++];
    cell.clear();
    if (at_ < text_.size() && text_[at_] == '"') {
      TRB_RETURN_IF_ERROR(ReadQuoted(&cell));
    } else {
      const size_t begin = at_;
      while (!AtLineEnd() && text_[at_] != delimiter_) ++at_;
      cell.assign(text_.substr(begin, at_ - begin));
    }
    if (AtLineEnd()) break;
    ++at_;  // the delimiter
  }
  cells->resize(used);
  SkipLineEnd();
  return true;
}

}  // namespace tributary::data
