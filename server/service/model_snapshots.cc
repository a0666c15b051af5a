#include "server/service/model_snapshots.h"

#include <utility>

namespace tributary::service {

absl::StatusOr<ModelSnapshots::Snapshot> ModelSnapshots::Get(const std::string& sha256) {
  {
    MutexLock lock(&mu_);
    while (loading_.count(sha256) != 0) loaded_.Wait(&mu_);
    const auto it = known_.find(sha256);
    if (it != known_.end()) {
      if (Snapshot snapshot = it->second.lock()) return snapshot;
    }
    loading_.insert(sha256);
  }
  auto bytes = blobs_.Get(sha256);
  Snapshot snapshot = bytes.ok() ? std::make_shared<const std::string>(*std::move(bytes)) : nullptr;
  {
    MutexLock lock(&mu_);
    loading_.erase(sha256);
    for (auto it = known_.begin(); it != known_.end();) it = it->second.expired() ? known_.erase(it) : std::next(it);
    if (snapshot != nullptr) {
      known_[sha256] = snapshot;
      newest_ = snapshot;
    }
  }
  loaded_.NotifyAll();
  if (snapshot == nullptr) return bytes.status();
  return snapshot;
}

}  // namespace tributary::service
