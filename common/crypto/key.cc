#include "common/crypto/key.h"

#include <openssl/core_names.h>
#include <openssl/pem.h>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/crypto/openssl_handles.h"

namespace tributary::crypto {
namespace {

constexpr size_t kMaxKeyPemBytes = 4096;
constexpr size_t kMaxSignatureBytes = 128;

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

bool PublicKey::Verify(std::string_view message, std::string_view signature) const {
  if (signature.empty() || signature.size() > kMaxSignatureBytes) return false;
  const MdContextPtr context(EVP_MD_CTX_new());
  const bool good =
      context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, handle_->key.get()) == 1 &&
      EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(message), message.size()) == 1;
  ForgetOpenSslErrors();
  return good;
}

bool PublicKey::operator==(const PublicKey& other) const {
  const bool equal = EVP_PKEY_eq(handle_->key.get(), other.handle_->key.get()) == 1;
  ForgetOpenSslErrors();
  return equal;
}

std::string PublicKey::ToDer() const {
  const int length = i2d_PUBKEY(handle_->key.get(), nullptr);
  TRB_CHECK(length > 0);
  std::string out(static_cast<size_t>(length), '\0');
  auto* cursor = reinterpret_cast<unsigned char*>(out.data());
  TRB_CHECK(i2d_PUBKEY(handle_->key.get(), &cursor) == length);
  return out;
}

absl::StatusOr<PrivateKey> PrivateKey::Generate() {
  PkeyPtr key(EVP_EC_gen(SN_X9_62_prime256v1));
  if (key == nullptr) return OpenSslError("make a P-256 key");
  return PrivateKey(std::make_shared<const KeyHandle>(KeyHandle{std::move(key)}));
}

absl::StatusOr<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  if (pem.size() > kMaxKeyPemBytes) return absl::InvalidArgumentError("this is no private key: it is too long");
  const BioPtr bio = ReadingBio(pem);
  PkeyPtr key(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassPhrase, nullptr));
  ForgetOpenSslErrors();
  if (key == nullptr) return absl::InvalidArgumentError("this is no private key in PEM, or it is encrypted");
  if (!IsP256(key.get())) return absl::InvalidArgumentError("this private key is not a P-256 key");
  return PrivateKey(std::make_shared<const KeyHandle>(KeyHandle{std::move(key)}));
}

absl::StatusOr<PrivateKey> PrivateKey::Load(const std::string& path) {
  TRB_RETURN_IF_ERROR(RequirePrivate(path));
  TRB_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path, kMaxKeyPemBytes));
  auto key = FromPem(pem);
  if (!key.ok()) return Annotate(key.status(), path);
  return key;
}

absl::Status PrivateKey::Store(const std::string& path) const { return WriteFileDurably(path, ToPem(), 0600); }

std::string PrivateKey::ToPem() const {
  const BioPtr bio = WritingBio();
  TRB_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), handle_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return Contents(bio.get());
}

absl::StatusOr<std::string> PrivateKey::Sign(std::string_view message) const {
  const MdContextPtr context(EVP_MD_CTX_new());
  std::string out(kMaxSignatureBytes, '\0');
  size_t length = out.size();
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, handle_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length, Bytes(message),
                     message.size()) != 1)
    return OpenSslError("sign");
  out.resize(length);
  return out;
}

}  // namespace tributary::crypto
