#include "common/crypto/credential_cache.h"

namespace tributary::crypto {

absl::StatusOr<Credential> CredentialCache::Load() {
  const MutexLock lock(&mu_);
  // Asked before the files are read: a version that is installed meanwhile is read again next time.
  TRB_ASSIGN_OR_RETURN(const std::string version, directory_.InstalledVersion());
  if (credential_.has_value() && version == version_) return *credential_;
  TRB_ASSIGN_OR_RETURN(credential_, directory_.Load());
  version_ = version;
  return *credential_;
}

}  // namespace tributary::crypto
