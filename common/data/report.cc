#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bytes.h"
#include "common/data/load.h"

namespace tributary::data {

void Report::Kind::Add(std::string name) {
  ++count;
  // File names are other people's bytes, and these end up on terminals.
  if (names.size() < kMaxNamed) names.push_back(EscapeForLog(name));
}

bool Report::clean() const {
  return undecodable.count + wrong_size.count + label_out_of_range.count + duplicates.count + unknown_classes.count ==
             0 &&
         warnings.empty();
}

std::vector<std::string> Report::Lines() const {
  std::vector<std::string> lines = {absl::StrCat(kept, " of ", found, " examples kept")};
  const auto add = [&](const Kind& kind, std::string_view what) {
    if (kind.count == 0) return;
    lines.push_back(absl::StrCat(kind.count, " ", std::string(what), ": ", absl::StrJoin(kind.names, ", "),
                                 kind.count > kind.names.size() ? ", ..." : ""));
  };
  add(undecodable, "could not be decoded");
  add(wrong_size, "did not fit in size");
  add(label_out_of_range, "had a label out of range");
  add(unknown_classes, "were of an unknown class");
  add(duplicates, duplicates_kept ? "are exact duplicates of others, kept" : "were exact duplicates of others");
  for (const std::string& name : unknown_class_names) {
    lines.push_back(absl::StrCat("unknown class: ", EscapeForLog(name, 80)));
  }
  for (const std::string& warning : warnings) lines.push_back("warning: " + warning);
  return lines;
}

}  // namespace tributary::data
