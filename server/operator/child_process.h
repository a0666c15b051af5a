// A program started by this one, which it outlives in no case: it is stopped when this object goes, and the system ends
// it when this process dies (PR_SET_PDEATHSIG). What it says goes through a pipe into a log file, by a thread of this
// object. For `demo`, which runs the real daemons.
// Not for use by several threads at once; start it from the main thread (the death signal is tied to the thread).
#ifndef TRIBUTARY_SERVER_OPERATOR_CHILD_PROCESS_H_
#define TRIBUTARY_SERVER_OPERATOR_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/file_descriptor.h"
#include "common/base/status.h"
#include "server/operator/log_pump.h"

namespace tributary::op {

class ChildProcess {
 public:
  // `argv[0]` is the program's path. `input` is what it reads on stdin. stdout and stderr are appended to `log_path`.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const std::vector<std::string>& argv,
                                                             const std::string& input, const std::string& log_path);
  // Start, then wait for its end. Not 0: FAILED_PRECONDITION with the end of its log.
  static absl::Status Run(const std::vector<std::string>& argv, const std::string& input, const std::string& log_path);
  // Stops it when it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Waits until a whole line of the log begins with `prefix` and returns that line. FAILED_PRECONDITION with the end of
  // the log when the process ends first, DEADLINE_EXCEEDED after `timeout`.
  absl::StatusOr<std::string> WaitForLine(const std::string& prefix, absl::Duration timeout);
  // The exit code; 128 + signal when killed.
  int Wait();
  // SIGTERM, then SIGKILL when it has not ended after `grace`.
  void Stop(absl::Duration grace);
  bool running();

 private:
  struct Output {
    int pipe, log;  // taken over
    std::string log_path;
  };
  ChildProcess(pid_t pid, int pidfd, const Output& output)
      : pid_(pid), pidfd_(pidfd), log_path_(output.log_path), pump_(output.pipe, output.log, output.log_path, pidfd) {}
  bool WaitForEnd(absl::Duration at_most);
  std::string LogTail() const;

  const pid_t pid_;
  const Fd pidfd_;
  const std::string log_path_;
  LogPump pump_;
  bool ended_ = false;
  int exit_code_ = 0;
};

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_CHILD_PROCESS_H_
