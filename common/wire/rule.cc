#include "common/wire/rule.h"

#include "absl/strings/str_cat.h"

namespace tributary::wire {
namespace {

std::string Range(uint64_t least, uint64_t most) {
  return least == 0 ? absl::StrCat("at most ", most) : absl::StrCat(least, " to ", most);
}

std::string One(const Rule& rule) {
  switch (rule.kind) {
    case Rule::Kind::kAnything:
      return "any value";
    case Rule::Kind::kText:
      return absl::StrCat(Range(rule.least, rule.most), " bytes of text without control characters");
    case Rule::Kind::kWords:
      return absl::StrCat(Range(0, rule.most), " bytes of text, escaped where it is shown");
    case Rule::Kind::kName:
      return "a name: [a-z0-9][a-z0-9._-]{0,62}";
    case Rule::Kind::kDigest:
      return "64 lower-case hexadecimal characters";
    case Rule::Kind::kBytes:
      return absl::StrCat(Range(rule.least, rule.most), " bytes");
    case Rule::Kind::kWhole:
      return absl::StrCat("a whole number, ", Range(rule.least, rule.most));
    case Rule::Kind::kReal:
      return absl::StrCat("a finite number, ", rule.low, " to ", rule.high);
    case Rule::Kind::kKnown:
      return "a value that this version knows, other than unspecified";
    case Rule::Kind::kMessage:
      return "its own fields";
    case Rule::Kind::kElsewhere:
      return absl::StrCat("checked by ", absl::string_view(rule.by.data(), rule.by.size()));
  }
  return "";
}

}  // namespace

std::string Describe(const Rule& rule, bool repeated) {
  const std::string many =
      repeated && rule.kind != Rule::Kind::kElsewhere ? absl::StrCat("at most ", rule.count, " of: ") : "";
  return absl::StrCat(many, One(rule), rule.may_be_empty ? ", or none" : "");
}

}  // namespace tributary::wire
