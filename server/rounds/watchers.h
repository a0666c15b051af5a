// Who wants to hear of a run. A callback never runs after Remove has returned.
// Threads: Add and Remove from any thread (not from a callback); Notify and Close from the run's controller only.
#ifndef TRIBUTARY_SERVER_ROUNDS_WATCHERS_H_
#define TRIBUTARY_SERVER_ROUNDS_WATCHERS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "common/base/mutex.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::rounds {

class Watchers {
 public:
  // False: wants no more.
  using Callback = std::function<bool(const v1::RunEvent&)>;

  // False after Close: nothing more will come. `token` is the caller's, unique.
  bool Add(uint64_t token, Callback callback) TRB_EXCLUDES(mu_);
  // Waits for the callback when it is running. Unknown tokens are fine.
  void Remove(uint64_t token) TRB_EXCLUDES(mu_);
  bool empty() const TRB_EXCLUDES(mu_);
  // Calls everyone, without the lock.
  void Notify(const v1::RunEvent& event) TRB_EXCLUDES(mu_);
  // The last event; then forgets everyone.
  void Close(const v1::RunEvent& event) TRB_EXCLUDES(mu_);

 private:
  bool BeginCall(uint64_t token, Callback* callback) TRB_EXCLUDES(mu_);
  void EndCall(uint64_t token, bool keep) TRB_EXCLUDES(mu_);

  mutable Mutex mu_;
  CondVar idle_;
  std::map<uint64_t, Callback> callbacks_ TRB_GUARDED_BY(mu_);
  uint64_t running_ TRB_GUARDED_BY(mu_) = 0;  // whose callback runs now; 0 = nobody's
  bool closed_ TRB_GUARDED_BY(mu_) = false;
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_WATCHERS_H_
