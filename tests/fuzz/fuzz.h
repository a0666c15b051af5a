// What the fuzz targets share. A target is one file with one function; it aborts when a promise is broken, and the
// sanitizers watch the rest.
#ifndef TRIBUTARY_TESTS_FUZZ_FUZZ_H_
#define TRIBUTARY_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "tests/support/temp_dir.h"

// The function's body follows; `input` is what libFuzzer made.
#define FUZZ_INPUT(input)                                                   \
  static void FuzzOne(std::string_view input);                              \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    FuzzOne(std::string_view(reinterpret_cast<const char*>(data), size));   \
    return 0;                                                               \
  }                                                                         \
  static void FuzzOne(std::string_view input)

namespace tributary::fuzz {

// A promise of the code under test.
inline void Require(bool kept) {
  if (!kept) std::abort();
}

// One directory for the whole run of a target.
inline const testing::TempDir& Scratch() {
  static const testing::TempDir dir;
  return dir;
}

// The input in two: what comes before the first `separator`, and what comes after it.
inline std::pair<std::string_view, std::string_view> Halves(std::string_view input, std::string_view separator) {
  const size_t at = input.find(separator);
  if (at == std::string_view::npos) return {input, {}};
  return {input.substr(0, at), input.substr(at + separator.size())};
}
inline constexpr std::string_view kBetween = "\n=====\n";  // the files of one input

}  // namespace tributary::fuzz

#endif  // TRIBUTARY_TESTS_FUZZ_FUZZ_H_
