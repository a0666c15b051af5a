// Bytes to text and back, and little-endian numbers in byte strings. All decoders are strict: one spelling a value.
#ifndef TRIBUTARY_COMMON_BASE_BYTES_H_
#define TRIBUTARY_COMMON_BASE_BYTES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tributary {

// Lower-case hexadecimal. HexDecode accepts lower-case only, and an even length.
std::string HexEncode(std::string_view bytes);
std::optional<std::string> HexDecode(std::string_view text);
// True for 64 lower-case hexadecimal characters: how every SHA-256 digest is spelled in this project.
bool IsHexDigest(std::string_view text);

// RFC 4648 section 5, without padding. Decoding refuses padding, white space and non-zero trailing bits.
std::string Base64UrlEncode(std::string_view bytes);
std::optional<std::string> Base64UrlDecode(std::string_view text);

void AppendLe16(std::string* out, uint16_t v);
void AppendLe32(std::string* out, uint32_t v);
void AppendLe64(std::string* out, uint64_t v);
// An 8-byte little-endian length, then the bytes: the framing of everything that is signed or chained.
void AppendLengthPrefixed(std::string* out, std::string_view bytes);

uint16_t LoadLe16(const void* p);
uint32_t LoadLe32(const void* p);
uint64_t LoadLe64(const void* p);

// For logs and terminals: control bytes, quotes and backslashes as \xNN; at most `max_length` input bytes are shown.
std::string EscapeForLog(std::string_view text, size_t max_length = 200);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_BYTES_H_
