#include "server/service/upload_slots.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace tributary::service {

absl::Status UploadSlots::RoomLocked(const std::string& client) const {
  const auto mine = of_client_.find(client);
  if (mine != of_client_.end() && mine->second >= limits_.each_client) {
    return absl::ResourceExhaustedError("this client uploads already: announce it again a little later");
  }
  if (reading_.size() < limits_.reading || waiting_.size() < limits_.waiting) return absl::OkStatus();
  return absl::ResourceExhaustedError("many uploads at once: announce it again a little later");
}

absl::Status UploadSlots::Enter(Upload upload) {
  std::function<void()> go;
  {
    MutexLock lock(&mu_);
    TRB_RETURN_IF_ERROR(RoomLocked(upload.client));
    ++of_client_[upload.client];
    if (reading_.size() >= limits_.reading) {
      waiting_.push_back(std::move(upload));
      return absl::OkStatus();
    }
    go = upload.go;
    reading_.emplace(upload.ticket, std::move(upload));
  }
  go();
  return absl::OkStatus();
}

std::optional<UploadSlots::Upload> UploadSlots::TakeLocked(uint64_t ticket) {
  if (const auto it = reading_.find(ticket); it != reading_.end()) {
    Upload taken = std::move(it->second);
    reading_.erase(it);
    return taken;
  }
  const auto it =
      std::find_if(waiting_.begin(), waiting_.end(), [ticket](const Upload& u) { return u.ticket == ticket; });
  if (it == waiting_.end()) return std::nullopt;
  Upload taken = std::move(*it);
  waiting_.erase(it);
  return taken;
}

void UploadSlots::Leave(uint64_t ticket) {
  std::optional<Upload> left;  // goes outside the lock: what it holds may end with it
  std::function<void()> go;
  {
    MutexLock lock(&mu_);
    left = TakeLocked(ticket);
    if (!left.has_value()) return;
    const auto mine = of_client_.find(left->client);
    if (--mine->second == 0) of_client_.erase(mine);
    if (waiting_.empty() || reading_.size() >= limits_.reading) return;
    go = waiting_.front().go;
    reading_.emplace(waiting_.front().ticket, std::move(waiting_.front()));
    waiting_.pop_front();
  }
  go();
}

void UploadSlots::CheckAll() {
  std::vector<std::function<void(bool)>> checks;
  bool others_wait = false;
  {
    MutexLock lock(&mu_);
    others_wait = !waiting_.empty();
    for (const auto& [ticket, upload] : reading_) checks.push_back(upload.check);
  }
  for (const auto& check : checks) check(others_wait);
}

void UploadSlots::SetEachClient(int uploads) {
  MutexLock lock(&mu_);
  limits_.each_client = uploads > 0 ? static_cast<size_t>(uploads) : std::numeric_limits<size_t>::max();
}

bool UploadSlots::FullFor(const std::string& client) {
  MutexLock lock(&mu_);
  return !RoomLocked(client).ok();
}

}  // namespace tributary::service
