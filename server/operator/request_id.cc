#include "server/operator/request_id.h"

#include "common/crypto/secure_random.h"

namespace tributary::op {

std::string NewRequestId() { return crypto::SecureRandom::System().Hex(16); }

}  // namespace tributary::op
