// What is shown and logged of other people's text: nothing that a terminal or a log's reader would obey.
#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/text.h"
#include "tests/fuzz/fuzz.h"

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const std::string shown = EscapeForTerminal(input);
  fuzz::Require(IsUtf8(shown) && std::none_of(shown.begin(), shown.end(), is_control));
  fuzz::Require(shown.find("\xC2\x9B") == std::string::npos && EscapeForTerminal(shown) == shown);
  std::string lines = EscapeLinesForTerminal(input);
  fuzz::Require(std::count(lines.begin(), lines.end(), '\n') == std::count(input.begin(), input.end(), '\n'));
  for (const size_t most : {0, 1, 3, 17, 64}) {
    const std::string plain = PlainText(input, most);
    fuzz::Require(plain.size() <= most && IsUtf8(plain));
  }
  const std::string logged = EscapeForLog(input, 64);
  fuzz::Require(std::all_of(logged.begin(), logged.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
  if (const auto decoded = Base64UrlDecode(input)) fuzz::Require(Base64UrlEncode(*decoded) == input);
  if (const auto decoded = HexDecode(input)) fuzz::Require(HexEncode(*decoded) == input);
}
