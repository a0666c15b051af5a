// Deterministic randomness for training and simulation: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy
// as 1, 2, 3", SC 2011), with our own bounded integers, uniforms and shuffle, so that every platform and library
// version draws the same numbers. Never for keys, nonces or tokens: those come from crypto's SecureRandom.
// Threads: an Rng belongs to one thread; PhiloxBlock is pure.
#ifndef TRIBUTARY_COMMON_BASE_RANDOM_H_
#define TRIBUTARY_COMMON_BASE_RANDOM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace tributary {

// Ten rounds of Philox4x32 on one counter block. Known-answer vectors: tests/common/base/random_test.cc.
std::array<uint32_t, 4> PhiloxBlock(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A 256-bit seed, as a SHA-256 gives it: 8 bytes are the key, 8 bytes the high half of the counter (the stream).
using Seed = std::array<uint8_t, 32>;

class Rng {
 public:
  explicit Rng(const Seed& seed);
  // Key = the 64-bit seed, stream 0.
  explicit Rng(uint64_t seed);

  uint32_t NextU32();
  uint64_t NextU64();
  // Uniform in [0, bound), exactly (rejection, no modulo bias). bound > 0.
  uint64_t Below(uint64_t bound);
  // Uniform in [0, 1): 24 random bits / 53 random bits.
  float UniformFloat();
  double UniformDouble();
  // Standard normal (Marsaglia's polar method); uses libm's log, so not for bit-critical paths across
  // libm versions.
  double Normal();

  // The 4 words of block `index` of this stream, without moving the sequence: masks indexed by (step, element).
  std::array<uint32_t, 4> BlockAt(uint64_t index) const;

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 2> stream_;
  uint64_t next_block_ = 0;
  std::array<uint32_t, 4> words_{};
  int used_ = 4;
};

// Fisher-Yates from the last element down: for i = n-1..1 swap(v[i], v[rng.Below(i + 1)]).
template <class T>
void Shuffle(std::vector<T>* v, Rng* rng) {
  for (size_t i = v->size(); i > 1; --i) std::swap((*v)[i - 1], (*v)[rng->Below(i)]);
}

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_RANDOM_H_
