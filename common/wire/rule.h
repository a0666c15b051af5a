// What one field of a message may hold. Rules stand in tables (rules.h), which Check (check.h) applies.
// Threads: plain data and pure functions.
#ifndef TRIBUTARY_COMMON_WIRE_RULE_H_
#define TRIBUTARY_COMMON_WIRE_RULE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tributary::wire {

struct Rule {
  enum class Kind {
    kAnything,   // every value of the type is good; it still has the size that its message may have
    kText,       // UTF-8 without control characters, [least, most] bytes
    kWords,      // UTF-8, any characters, at most `most` bytes: escaped wherever it is shown or kept
    kName,       // common/base/names.h
    kDigest,     // SHA-256 as 64 lower-case hexadecimal characters
    kBytes,      // [least, most] bytes
    kWhole,      // an integer, [least, most]
    kReal,       // a finite number, [low, high]
    kKnown,      // a value of the enum that this version knows, other than 0
    kMessage,    // its own message's rules
    kElsewhere,  // `by` checks it
  };
  Kind kind = Kind::kAnything;
  bool may_be_empty = false;  // kName, kDigest: also an empty text. kMessage: may be unset
  uint64_t least = 0, most = 0;
  double low = 0, high = 0;
  size_t count = 1;          // elements that a repeated field may have
  std::string_view by = {};  // kElsewhere: the function

  constexpr Rule OrEmpty() const {
    Rule r = *this;
    r.may_be_empty = true;
    return r;
  }
  constexpr Rule UpTo(size_t elements) const {
    Rule r = *this;
    r.count = elements;
    return r;
  }
};

constexpr Rule Anything() { return {}; }
constexpr Rule Text(uint64_t least, uint64_t most) { return {.kind = Rule::Kind::kText, .least = least, .most = most}; }
constexpr Rule Words(uint64_t most) { return {.kind = Rule::Kind::kWords, .most = most}; }
constexpr Rule Name() { return {.kind = Rule::Kind::kName}; }
constexpr Rule Digest() { return {.kind = Rule::Kind::kDigest}; }
constexpr Rule Bytes(uint64_t least, uint64_t most) {
  return {.kind = Rule::Kind::kBytes, .least = least, .most = most};
}
constexpr Rule Whole(uint64_t least, uint64_t most) {
  return {.kind = Rule::Kind::kWhole, .least = least, .most = most};
}
constexpr Rule Real(double low, double high) { return {.kind = Rule::Kind::kReal, .low = low, .high = high}; }
constexpr Rule Known() { return {.kind = Rule::Kind::kKnown}; }
constexpr Rule Message() { return {.kind = Rule::Kind::kMessage}; }
constexpr Rule Elsewhere(std::string_view by) { return {.kind = Rule::Kind::kElsewhere, .by = by}; }

// For an error and for the table in the documents: "1 to 64 bytes of text without control characters".
std::string Describe(const Rule& rule, bool repeated);

}  // namespace tributary::wire

#endif  // TRIBUTARY_COMMON_WIRE_RULE_H_
