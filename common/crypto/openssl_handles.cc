#include "common/crypto/openssl_handles.h"

#include "absl/strings/str_cat.h"

namespace tributary::crypto {

absl::Status OpenSslError(std::string_view what) {
  char reason[256] = "unknown error";
  if (const unsigned long code = ERR_peek_last_error(); code != 0) ERR_error_string_n(code, reason, sizeof reason);
  ERR_clear_error();
  return absl::InternalError(absl::StrCat(std::string(what), ": ", reason));
}

BioPtr ReadingBio(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

BioPtr WritingBio() {
  BioPtr bio(BIO_new(BIO_s_mem()));
  TRB_CHECK(bio != nullptr);
  return bio;
}

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return length > 0 ? std::string(data, static_cast<size_t>(length)) : std::string();
}

bool IsP256(const EVP_PKEY* key) {
  char group[64] = {};
  size_t length = 0;
  return key != nullptr && EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
         std::string_view(group, length) == SN_X9_62_prime256v1;
}

int NoPassPhrase(char*, int, int, void*) { return -1; }

}  // namespace tributary::crypto
