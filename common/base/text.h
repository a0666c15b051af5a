// Other people's text on its way to a person: file names, class names, reasons, whatever a peer sent. A terminal takes
// some bytes for orders, a reader some characters for others than they are; neither is passed on.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_BASE_TEXT_H_
#define TRIBUTARY_COMMON_BASE_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace tributary {

// Well-formed UTF-8: shortest forms, no surrogates, at most U+10FFFF.
bool IsUtf8(std::string_view text);

// One line for a terminal: UTF-8 stays; what is none, control characters (C0, DEL, C1) and those that change the
// direction of text become \xNN, byte by byte. What was escaped before stays as it is.
std::string EscapeForTerminal(std::string_view text);
// The same, but line ends stay: a table, or a list of faults.
std::string EscapeLinesForTerminal(std::string_view text);

// EscapeForTerminal, and no more than `max_bytes` in all: cut between characters, with "..." at the end. What may be
// sent as a proto string and kept.
std::string PlainText(std::string_view text, size_t max_bytes);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_TEXT_H_
