// What a seed or a rank is the SHA-256 of: a domain prefix, then length-prefixed fields. Internal to learning.
#ifndef TRIBUTARY_COMMON_LEARNING_FRAMED_BYTES_H_
#define TRIBUTARY_COMMON_LEARNING_FRAMED_BYTES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/bytes.h"

namespace tributary::learning {

class FramedBytes {
 public:
  explicit FramedBytes(std::string_view domain_prefix) : bytes_(domain_prefix) {}
  FramedBytes& Integer(uint64_t value) {
    std::string le;
    AppendLe64(&le, value);
    return Text(le);
  }
  FramedBytes& Text(std::string_view text) {
    AppendLengthPrefixed(&bytes_, text);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_FRAMED_BYTES_H_
