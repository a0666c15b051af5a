#include "server/service/live_calls.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/rpc/peer_check.h"

namespace tributary::service {

uint64_t LiveCalls::Add(const std::string& identity, int64_t certificate_not_after_unix_ms, Cut cut) {
  MutexLock lock(&mu_);
  const uint64_t token = next_++;
  calls_.emplace(
      token, Call{identity, certificate_not_after_unix_ms, std::move(cut), absl::OkStatus(), absl::InfiniteDuration()});
  return token;
}

void LiveCalls::Remove(uint64_t token) {
  MutexLock lock(&mu_);
  calls_.erase(token);
}

void LiveCalls::CutLocked(Call* call, const absl::Status& why) {
  if (!call->told.ok()) return;
  call->told = why;
  call->cut(why, false);
}

int LiveCalls::CutAgain() {
  MutexLock lock(&mu_);
  int cut = 0;
  for (auto& [token, call] : calls_) {
    if (call.told.ok()) continue;
    call.cut(call.told, true);
    ++cut;
  }
  return cut;
}

int LiveCalls::CutIdentity(const std::string& identity, const absl::Status& why) {
  MutexLock lock(&mu_);
  int cut = 0;
  for (auto& [token, call] : calls_) {
    if (call.identity != identity) continue;
    CutLocked(&call, why);
    ++cut;
  }
  return cut;
}

int LiveCalls::CutExpired(int64_t now_unix_ms) {
  MutexLock lock(&mu_);
  int cut = 0;
  for (auto& [token, call] : calls_) {
    if (call.not_after_unix_ms > now_unix_ms) continue;
    CutLocked(&call, absl::UnauthenticatedError(absl::StrCat(
                         "the certificate of this call has expired: it ended at ",
                         rpc::DateText(absl::FromUnixMillis(call.not_after_unix_ms)), ", the coordinator's clock says ",
                         rpc::DateText(absl::FromUnixMillis(now_unix_ms)))));
    ++cut;
  }
  return cut;
}

void LiveCalls::Writing(uint64_t token) {
  MutexLock lock(&mu_);
  if (const auto it = calls_.find(token); it != calls_.end()) it->second.writing_since = now_;
}

void LiveCalls::Written(uint64_t token) {
  MutexLock lock(&mu_);
  if (const auto it = calls_.find(token); it != calls_.end()) it->second.writing_since = absl::InfiniteDuration();
}

int LiveCalls::CutStuck(absl::Duration now, absl::Duration limit) {
  MutexLock lock(&mu_);
  now_ = now;
  int cut = 0;
  for (auto& [token, call] : calls_) {
    if (call.writing_since == absl::InfiniteDuration() || now - call.writing_since <= limit) continue;
    CutLocked(&call, absl::DeadlineExceededError("the peer does not take what it asked for"));
    ++cut;
  }
  return cut;
}

int LiveCalls::CutAll(const absl::Status& why) {
  MutexLock lock(&mu_);
  for (auto& [token, call] : calls_) CutLocked(&call, why);
  return static_cast<int>(calls_.size());
}

int LiveCalls::Count() {
  MutexLock lock(&mu_);
  return static_cast<int>(calls_.size());
}

}  // namespace tributary::service
