// Handwritten-looking digits that we draw ourselves, so that the demo needs no download: strokes under a random warp,
// affine map, thickness, ink and noise, 28x28 bytes, white on black as MNIST. Hard enough that a linear model stays
// under 93 % and the keras-cnn preset passes 97 %.
// The same (seed, split, index) gives the same bytes everywhere: only additions, products and square roots are used.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_DATA_SYNTHETIC_H_
#define TRIBUTARY_COMMON_DATA_SYNTHETIC_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/status.h"
#include "common/data/load.h"

namespace tributary::data {

constexpr size_t kDigitSide = 28;

// Writes kDigitSide * kDigitSide bytes, row by row, and returns the digit. The two splits never share an example.
int DrawDigit(uint64_t seed, Split split, uint64_t index, uint8_t* pixels);

// "synthetic[:COUNT[:SEED]]".
struct SyntheticSpec {
  uint64_t count = 6000, seed = 1;
};
absl::StatusOr<SyntheticSpec> ParseSyntheticSpec(std::string_view text);

}  // namespace tributary::data

#endif  // TRIBUTARY_COMMON_DATA_SYNTHETIC_H_
