// Keeps a step of the wall clock from changing what gRPC has timed. gRPC 1.51 counts by the monotonic clock, but its
// timers' thread sleeps until a point of the wall clock: set back by an hour it sleeps an hour longer, and keepalive,
// deadlines and connection time-outs with it; and so does the thread that looks for new certificates. Whoever runs long
// looks for steps, and wakes those threads after one.
//
// Threads: Look from one thread at a time; ClockWatch has a thread of its own.
#ifndef TRIBUTARY_COMMON_RPC_CLOCK_STEPS_H_
#define TRIBUTARY_COMMON_RPC_CLOCK_STEPS_H_

#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace tributary::rpc {

class ClockSteps {
 public:
  // `clock` is borrowed. `wake`: what to do after a step; another one in tests.
  explicit ClockSteps(const Clock* clock, std::function<void()> wake = WakeTimers);

  // By how much the wall clock was set since the last call (positive: ahead); zero when it was not. Less than a second
  // is drift. Logs a step.
  absl::Duration Look();

 private:
  static void WakeTimers();
  absl::Time Beginning() const;  // of the monotonic clock, by the wall clock

  const Clock& clock_;
  const std::function<void()> wake_;
  absl::Time beginning_;
};

// Looks once a second until it is destroyed.
class ClockWatch {
 public:
  explicit ClockWatch(const Clock* clock);
  ~ClockWatch();
  ClockWatch(const ClockWatch&) = delete;
  ClockWatch& operator=(const ClockWatch&) = delete;

 private:
  void Run() TRB_EXCLUDES(mu_);

  const Clock& clock_;
  ClockSteps steps_;  // the thread's
  Mutex mu_;
  CondVar stop_;
  bool stopping_ TRB_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: started when all else is there
};

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_CLOCK_STEPS_H_
