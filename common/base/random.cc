#include "common/base/random.h"

#include <cmath>

#include "common/base/bytes.h"

namespace tributary {
namespace {

// The multipliers and Weyl increments of the paper.
constexpr uint32_t kM0 = 0xD2511F53u, kM1 = 0xCD9E8D57u, kW0 = 0x9E3779B9u, kW1 = 0xBB67AE85u;

}  // namespace

std::array<uint32_t, 4> PhiloxBlock(std::array<uint32_t, 4> c, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(kM0) * c[0], p1 = static_cast<uint64_t>(kM1) * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += kW0;
    key[1] += kW1;
  }
  return c;
}

Rng::Rng(const Seed& seed)
    : key_{LoadLe32(seed.data()), LoadLe32(seed.data() + 4)},
      stream_{LoadLe32(seed.data() + 8), LoadLe32(seed.data() + 12)} {}

Rng::Rng(uint64_t seed) : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}, stream_{0, 0} {}

std::array<uint32_t, 4> Rng::BlockAt(uint64_t index) const {
  return PhiloxBlock({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), stream_[0], stream_[1]}, key_);
}

uint32_t Rng::NextU32() {
  if (used_ == 4) {
    words_ = BlockAt(next_block_++);
    used_ = 0;
  }
  return words_[used_++];
}

uint64_t Rng::NextU64() {
  const uint64_t low = NextU32();
  return low | (static_cast<uint64_t>(NextU32()) << 32);
}

uint64_t Rng::Below(uint64_t bound) {
  // Values under `skip` would make some remainders one more likely than others.
  const uint64_t skip = (0 - bound) % bound;
  for (;;) {
    const uint64_t v = NextU64();
    if (v >= skip) return v % bound;
  }
}

float Rng::UniformFloat() { return static_cast<float>(NextU32() >> 8) * 0x1p-24f; }
double Rng::UniformDouble() { return static_cast<double>(NextU64() >> 11) * 0x1p-53; }

double Rng::Normal() {
  for (;;) {
    const double u = 2 * UniformDouble() - 1, v = 2 * UniformDouble() - 1, s = u * u + v * v;
    if (s > 0 && s < 1) return u * std::sqrt(-2 * std::log(s) / s);
  }
}

}  // namespace tributary
