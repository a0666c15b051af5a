// NumPy's array file (.npy, versions 1 to 3): a header in Python's spelling, then the elements, little-endian, in C
// order. Objects (pickles), big-endian and Fortran order are refused. The bytes may come from anyone.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_DATA_NPY_H_
#define TRIBUTARY_COMMON_DATA_NPY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace tributary::data {

struct NpyArray {
  char kind = 'u';  // 'b' bool, 'u' unsigned, 'i' signed, 'f' float
  size_t item_bytes = 1;
  std::vector<uint64_t> shape;
  std::string_view bytes;  // into the text that was parsed

  uint64_t count() const { return shape.empty() ? 1 : shape[0]; }
  uint64_t elements() const { return bytes.size() / item_bytes; }
  bool is_float() const { return kind == 'f'; }
  // Element i as a double. i < elements().
  double At(size_t i) const;
};

// INVALID_ARGUMENT, with the offset, when it is not a whole array of a type above.
absl::StatusOr<NpyArray> ParseNpy(std::string_view text);

}  // namespace tributary::data

#endif  // TRIBUTARY_COMMON_DATA_NPY_H_
