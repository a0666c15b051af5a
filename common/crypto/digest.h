// SHA-256, the one digest of the project.
// Threads: the functions are pure; a hasher belongs to one thread at a time.
#ifndef TRIBUTARY_COMMON_CRYPTO_DIGEST_H_
#define TRIBUTARY_COMMON_CRYPTO_DIGEST_H_

#include <memory>
#include <string>
#include <string_view>

namespace tributary::crypto {

// 64 lower-case hexadecimal characters.
std::string Sha256Hex(std::string_view bytes);
// The 32 raw bytes.
std::string Sha256(std::string_view bytes);

// Compares two secrets in a time that depends on their lengths alone.
bool ConstantTimeEquals(std::string_view a, std::string_view b);

// Hashes what comes in pieces. A copy goes on by itself from the same state, so that the digest of a prefix can be read
// while the hashing continues.
class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(const Sha256Hasher& other);
  Sha256Hasher& operator=(const Sha256Hasher& other);
  Sha256Hasher(Sha256Hasher&&) noexcept;
  Sha256Hasher& operator=(Sha256Hasher&&) noexcept;

  void Update(std::string_view bytes);
  // The digest of everything so far. Ends this hasher: afterwards only assignment and destruction are allowed.
  std::string FinishHex();
  std::string Finish();  // the 32 raw bytes

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_DIGEST_H_
