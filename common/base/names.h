// The one rule for every name that a person chooses (clients, operators, runs, labels): it may become a log field, a
// certificate field or a table cell, never a path.
#ifndef TRIBUTARY_COMMON_BASE_NAMES_H_
#define TRIBUTARY_COMMON_BASE_NAMES_H_

#include <string_view>

namespace tributary {

// [a-z0-9][a-z0-9._-]{0,62}
constexpr bool IsValidName(std::string_view name) {
  constexpr auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > 63 || !alnum(name[0])) return false;
  for (const char c : name) {
    if (!alnum(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_NAMES_H_
