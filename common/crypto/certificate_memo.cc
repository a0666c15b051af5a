#include "common/crypto/certificate_memo.h"

namespace tributary::crypto {

std::optional<Certificate> CertificateMemo::Find(std::string_view pem) const {
  const MutexLock lock(&mu_);
  const auto found = by_pem_.find(pem);
  if (found == by_pem_.end()) return std::nullopt;
  return found->second->certificate;
}

void CertificateMemo::Keep(std::string_view pem, const Certificate& certificate) {
  const MutexLock lock(&mu_);
  if (by_pem_.contains(pem)) return;
  if (entries_.size() == kRemembered) {
    by_pem_.erase(entries_.front().pem);
    entries_.pop_front();
  }
  entries_.push_back({std::string(pem), certificate});  // a deque's other elements stay where they are
  by_pem_.emplace(entries_.back().pem, &entries_.back());
}

}  // namespace tributary::crypto
