#include "server/rounds/watchers.h"

#include <utility>

namespace tributary::rounds {

bool Watchers::Add(uint64_t token, Callback callback) {
  MutexLock lock(&mu_);
  if (closed_) return false;
  callbacks_[token] = std::move(callback);
  return true;
}

void Watchers::Remove(uint64_t token) {
  MutexLock lock(&mu_);
  callbacks_.erase(token);
  while (running_ == token) idle_.Wait(&mu_);
}

bool Watchers::empty() const {
  MutexLock lock(&mu_);
  return callbacks_.empty();
}

bool Watchers::BeginCall(uint64_t token, Callback* callback) {
  MutexLock lock(&mu_);
  const auto found = callbacks_.find(token);
  if (found == callbacks_.end()) return false;
  *callback = found->second;
  running_ = token;
  return true;
}

void Watchers::EndCall(uint64_t token, bool keep) {
  MutexLock lock(&mu_);
  if (!keep) callbacks_.erase(token);
  running_ = 0;
  idle_.NotifyAll();
}

void Watchers::Notify(const v1::RunEvent& event) {
  std::vector<uint64_t> tokens;
  {
    MutexLock lock(&mu_);
    for (const auto& [token, callback] : callbacks_) tokens.push_back(token);
  }
  for (const uint64_t token : tokens) {
    Callback callback;
    if (!BeginCall(token, &callback)) continue;
    const bool keep = callback(event);
    callback = nullptr;  // what it holds must be gone when Remove returns
    EndCall(token, keep);
  }
}

void Watchers::Close(const v1::RunEvent& event) {
  {
    MutexLock lock(&mu_);
    closed_ = true;
  }
  Notify(event);
  MutexLock lock(&mu_);
  callbacks_.clear();
}

}  // namespace tributary::rounds
