// Carries what a child process says from a pipe into a log file, by a thread that sleeps until there is something.
// Ends by itself with the process or with the last writer of the pipe; then the log holds all that was said.
// Threads: every method is safe from any thread.
#ifndef TRIBUTARY_SERVER_OPERATOR_LOG_PUMP_H_
#define TRIBUTARY_SERVER_OPERATOR_LOG_PUMP_H_

#include <cstdint>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/base/file_descriptor.h"
#include "common/base/mutex.h"

namespace tributary::op {

class LogPump {
 public:
  // Takes over `pipe` (its reading end) and `log`. `pidfd` is borrowed, readable once the process has ended, and
  // outlives the pump; below 0: only the end of the pipe counts.
  LogPump(int pipe, int log, std::string log_path, int pidfd);
  // Waits for the end: the process must have ended.
  ~LogPump();
  LogPump(const LogPump&) = delete;
  LogPump& operator=(const LogPump&) = delete;

  struct State {
    uint64_t pieces = 0;  // written to the log so far
    bool ended = false;
  };
  State state() TRB_EXCLUDES(mu_);
  // Waits until more is in the log than at `pieces`, or nothing more will come, or until the deadline (monotonic).
  State AwaitMore(uint64_t pieces, absl::Duration deadline) TRB_EXCLUDES(mu_);

 private:
  void Run() TRB_EXCLUDES(mu_);
  bool CarryOne();

  const Fd pipe_, log_;
  const std::string log_path_;
  const int pidfd_;

  Mutex mu_;
  CondVar changed_;
  State state_ TRB_GUARDED_BY(mu_);
  std::thread thread_;  // last: it uses the others
};

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_LOG_PUMP_H_
