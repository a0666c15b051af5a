#include "common/base/bytes.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace tributary {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

template <class T>
void AppendLe(std::string* out, T v) {
  for (size_t i = 0; i < sizeof(T); ++i) out->push_back(static_cast<char>(static_cast<unsigned char>(v >> (8 * i))));
}

template <class T>
T LoadLe(const void* p) {
  const auto* b = static_cast<const unsigned char*>(p);
  T v = 0;
  for (size_t i = 0; i < sizeof(T); ++i) v = static_cast<T>(v | (static_cast<T>(b[i]) << (8 * i)));
  return v;
}

int Value(std::string_view alphabet, char c) {
  const size_t at = alphabet.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::string HexEncode(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const unsigned char c : bytes) {
    out.push_back(kHex[c >> 4]);
    out.push_back(kHex[c & 15]);
  }
  return out;
}

std::optional<std::string> HexDecode(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = Value(kHex, text[i]), low = Value(kHex, text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return out;
}

bool IsHexDigest(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) { return Value(kHex, c) >= 0; });
}

std::string Base64UrlEncode(std::string_view bytes) {
  std::string out;
  uint32_t held = 0;
  int bits = 0;
  for (const unsigned char c : bytes) {
    held = (held << 8) | c;
    for (bits += 8; bits >= 6; bits -= 6) out.push_back(kBase64Url[(held >> (bits - 6)) & 63]);
  }
  if (bits > 0) out.push_back(kBase64Url[(held << (6 - bits)) & 63]);
  return out;
}

std::optional<std::string> Base64UrlDecode(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  uint32_t held = 0;
  int bits = 0;
  for (const char c : text) {
    const int v = Value(kBase64Url, c);
    if (v < 0) return std::nullopt;
    held = (held << 6) | static_cast<uint32_t>(v);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<char>((held >> bits) & 255));
    }
  }
  if ((held & ((1u << bits) - 1)) != 0) return std::nullopt;
  return out;
}

void AppendLe16(std::string* out, uint16_t v) { AppendLe(out, v); }
void AppendLe32(std::string* out, uint32_t v) { AppendLe(out, v); }
void AppendLe64(std::string* out, uint64_t v) { AppendLe(out, v); }

void AppendLengthPrefixed(std::string* out, std::string_view bytes) {
  AppendLe64(out, bytes.size());
  out->append(bytes);
}

uint16_t LoadLe16(const void* p) { return LoadLe<uint16_t>(p); }
uint32_t LoadLe32(const void* p) { return LoadLe<uint32_t>(p); }
uint64_t LoadLe64(const void* p) { return LoadLe<uint64_t>(p); }

std::string EscapeForLog(std::string_view text, size_t max_length) {
  std::string out;
  for (const unsigned char c : text.substr(0, max_length)) {
    if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') {
      out += "\\x";
      out.push_back(kHex[c >> 4]);
      out.push_back(kHex[c & 15]);
    } else {
      out.push_back(static_cast<char>(c));
    }
  }
  if (text.size() > max_length) out += "...";
  return out;
}

}  // namespace tributary
