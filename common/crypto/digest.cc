#include "common/crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/base/bytes.h"
#include "common/base/status.h"

namespace tributary::crypto {

struct Sha256Hasher::State {
  State() : context(EVP_MD_CTX_new()) { TRB_CHECK(context != nullptr); }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  EVP_MD_CTX* const context;
};

Sha256Hasher::Sha256Hasher() : state_(std::make_unique<State>()) {
  TRB_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

Sha256Hasher::~Sha256Hasher() = default;
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;

Sha256Hasher::Sha256Hasher(const Sha256Hasher& other) : state_(std::make_unique<State>()) {
  TRB_CHECK(EVP_MD_CTX_copy_ex(state_->context, other.state_->context) == 1);
}

Sha256Hasher& Sha256Hasher::operator=(const Sha256Hasher& other) {
  if (this != &other) *this = Sha256Hasher(other);
  return *this;
}

void Sha256Hasher::Update(std::string_view bytes) {
  TRB_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256Hasher::Finish() {
  std::string out(32, '\0');
  unsigned length = 0;
  TRB_CHECK(EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(out.data()), &length) == 1);
  TRB_CHECK(length == out.size());
  return out;
}

std::string Sha256Hasher::FinishHex() { return HexEncode(Finish()); }

std::string Sha256(std::string_view bytes) {
  Sha256Hasher hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

std::string Sha256Hex(std::string_view bytes) { return HexEncode(Sha256(bytes)); }

bool ConstantTimeEquals(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace tributary::crypto
