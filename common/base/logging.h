// The one way to log (style H14): a line to stderr, `level event key=value ...`, with a stable event name. Never
// weights, labels, tokens, keys or file contents. Values are escaped: a peer's bytes cannot forge a line. Threads: safe
// from any thread.
#ifndef TRIBUTARY_COMMON_BASE_LOGGING_H_
#define TRIBUTARY_COMMON_BASE_LOGGING_H_

#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace tributary {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// One key=value pair. Any value that absl::StrCat takes.
struct Field {
  template <class T>
  Field(std::string_view k, const T& v) : key(k), value(absl::StrCat(v)) {}  // NOLINT: implicit on purpose
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  std::string_view key;
  std::string value;
};

// `event` is a fixed snake_case word, e.g. Log(LogLevel::kInfo, "round_committed", {{"run", id}, {"round", n}}).
void Log(LogLevel level, std::string_view event, std::initializer_list<Field> fields = {});

// Default kInfo. Set once, in main.
void SetLogLevel(LogLevel level);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_LOGGING_H_
