#include "common/base/text.h"

#include <cstdint>

namespace tributary {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kEllipsis = "...";

struct Character {
  size_t bytes = 1;
  uint32_t code = 0;
  bool valid = false;
};

bool IsContinuation(unsigned char c) { return (c & 0xc0) == 0x80; }

// The character at the front of a text that is not empty.
Character First(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, lead, true};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  uint32_t code = lead & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if (!IsContinuation(byte(i))) return {};
    code = (code << 6) | (byte(i) & 0x3fu);
  }
  const uint32_t least = bytes == 2 ? 0x80 : bytes == 3 ? 0x800 : 0x10000;
  if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
  return {bytes, code, true};
}

bool IsControl(uint32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0); }

// Line and paragraph separators, and what sets or overrides the direction of text.
bool Misleads(uint32_t code) {
  return code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
         code == 0x061c;
}

void AppendEscaped(std::string_view bytes, std::string* out) {
  for (const unsigned char c : bytes) {
    *out += "\\x";
    out->push_back(kHex[c >> 4]);
    out->push_back(kHex[c & 15]);
  }
}

// The front character as it is shown; takes it off `rest`.
std::string Shown(std::string_view* rest) {
  const Character first = First(*rest);
  const std::string_view bytes = rest->substr(0, first.bytes);
  rest->remove_prefix(first.bytes);
  std::string out;
  if (!first.valid || IsControl(first.code) || Misleads(first.code)) {
    AppendEscaped(bytes, &out);
  } else {
    out = bytes;
  }
  return out;
}

std::string Escape(std::string_view text, bool keep_line_ends) {
  std::string out;
  while (!text.empty()) {
    if (keep_line_ends && text[0] == '\n') {
      out.push_back('\n');
      text.remove_prefix(1);
    } else {
      out += Shown(&text);
    }
  }
  return out;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const Character first = First(text);
    if (!first.valid) return false;
    text.remove_prefix(first.bytes);
  }
  return true;
}

std::string EscapeForTerminal(std::string_view text) { return Escape(text, false); }

std::string EscapeLinesForTerminal(std::string_view text) { return Escape(text, true); }

std::string PlainText(std::string_view text, size_t max_bytes) {
  std::string out;
  size_t fits = 0;  // of `out`, so that the ellipsis has room
  while (!text.empty()) {
    out += Shown(&text);
    if (out.size() > max_bytes) {
      out.resize(fits);
      return max_bytes < kEllipsis.size() ? out : out.append(kEllipsis);
    }
    if (out.size() + kEllipsis.size() <= max_bytes) fits = out.size();
  }
  return out;
}

}  // namespace tributary
