// Unpredictable bytes for token secrets, ids and serial numbers (style H13). Never for training: that draws from Rng.
// Threads: every method is safe from any thread.
#ifndef TRIBUTARY_COMMON_CRYPTO_SECURE_RANDOM_H_
#define TRIBUTARY_COMMON_CRYPTO_SECURE_RANDOM_H_

#include <cstddef>
#include <string>

namespace tributary::crypto {

class SecureRandom {
 public:
  virtual ~SecureRandom() = default;
  virtual std::string Bytes(size_t count) = 0;

  // `count` bytes as 2 * count lower-case hexadecimal characters.
  std::string Hex(size_t count);

  // The system's generator; lives for the whole process. Ends the process when the system has no randomness to give.
  static SecureRandom& System();
};

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_SECURE_RANDOM_H_
