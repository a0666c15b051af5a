#include "server/service/bad_endings.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tributary::service {

void BadEndings::Add(const std::string& site, size_t count, size_t most, absl::Duration one_each, absl::Duration now) {
  if (until_.size() >= kMostSites && !until_.contains(site)) {
    Sweep(now);
    // Whoever has so many addresses gains nothing by it that the addresses did not give already.
    if (until_.size() >= kMostSites) until_.clear();
  }
  absl::Duration& until = until_.try_emplace(site, now).first->second;
  const auto time_for = [one_each](size_t endings) { return static_cast<int64_t>(endings) * one_each; };
  until = std::min(std::max(until, now) + time_for(count), now + time_for(most));
}

size_t BadEndings::Of(const std::string& site, absl::Duration one_each, absl::Duration now) const {
  const auto it = until_.find(site);
  if (it == until_.end() || it->second <= now) return 0;
  return static_cast<size_t>(std::ceil(absl::FDivDuration(it->second - now, one_each)));
}

void BadEndings::Sweep(absl::Duration now) {
  std::erase_if(until_, [now](const auto& entry) { return entry.second <= now; });
}

}  // namespace tributary::service
