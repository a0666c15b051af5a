#include "common/crypto/secure_random.h"

#include <openssl/rand.h>

#include "common/base/bytes.h"
#include "common/base/status.h"

namespace tributary::crypto {
namespace {

class SystemRandom final : public SecureRandom {
 public:
  std::string Bytes(size_t count) override {
    std::string out(count, '\0');
    TRB_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) == 1);
    return out;
  }
};

}  // namespace

std::string SecureRandom::Hex(size_t count) { return HexEncode(Bytes(count)); }

SecureRandom& SecureRandom::System() {
  static SystemRandom* const random = new SystemRandom;
  return *random;
}

}  // namespace tributary::crypto
