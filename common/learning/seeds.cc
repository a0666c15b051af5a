#include "common/learning/seeds.h"

#include <algorithm>
#include <string>

#include "common/crypto/digest.h"
#include "common/learning/framed_bytes.h"

namespace tributary::learning {

using std::string_view_literals::operator""sv;

Seed DeriveSeed(uint64_t run_seed, uint64_t round, std::string_view client_name, std::string_view purpose) {
  FramedBytes framed("tributary/seed/v1\0"sv);
  framed.Integer(run_seed).Integer(round).Text(client_name).Text(purpose);
  const std::string digest = crypto::Sha256(framed.bytes());
  Seed seed;
  std::transform(digest.begin(), digest.end(), seed.begin(), [](char c) { return static_cast<uint8_t>(c); });
  return seed;
}

}  // namespace tributary::learning
