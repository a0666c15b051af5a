// A stop is over in time: once a program was told to stop, it has `limit` left. Then it ends as it stands, with exit
// code 0: everything of ours may be killed at any instant and goes on from its disk, so nothing is lost but what was
// half done (reading a large test set cannot be interrupted, say).
// Threads: one of its own, from construction to destruction.
#ifndef TRIBUTARY_COMMON_BASE_STOP_LIMIT_H_
#define TRIBUTARY_COMMON_BASE_STOP_LIMIT_H_

#include <functional>
#include <stop_token>
#include <thread>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace tributary {

class StopLimit {
 public:
  static constexpr absl::Duration kLimit = absl::Seconds(9);

  // Counts from when `stop` is requested. `on_limit`: instead of the end of the process, in tests.
  explicit StopLimit(std::stop_token stop, const Clock* clock = &Clock::System(),
                     std::function<void()> on_limit = EndProcess);
  // It stopped in time.
  ~StopLimit();
  StopLimit(const StopLimit&) = delete;
  StopLimit& operator=(const StopLimit&) = delete;

 private:
  static void EndProcess();
  void Run(const std::stop_token& stop) TRB_EXCLUDES(mu_);

  const Clock& clock_;
  const std::function<void()> on_limit_;
  Mutex mu_;
  CondVar changed_;
  bool over_ TRB_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: started when all else is there
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_STOP_LIMIT_H_
