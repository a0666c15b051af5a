#include "server/operator/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/clock.h"
#include "common/base/files.h"

namespace tributary::op {
namespace {

constexpr uint64_t kMaxLogBytes = 64 << 20;
constexpr size_t kTailBytes = 1500;
constexpr absl::Duration kLastWords = absl::Seconds(5);  // for what an ended process said to reach the log

// A pipe that holds `input`; it is short (an invitation), so it fits without a reader.
absl::StatusOr<int> InputPipe(const std::string& input) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoToStatus(errno, "pipe");
  const ssize_t n = write(ends[1], input.data(), input.size());
  close(ends[1]);
  if (n == static_cast<ssize_t>(input.size())) return ends[0];
  close(ends[0]);
  return ErrnoToStatus(errno, "write to a pipe");
}

// In the child, between fork and exec: only calls that are safe there.
[[noreturn]] void Exec(char* const* argv, int in, int out) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setpgid(0, 0);  // a Ctrl-C on the terminal is ours to handle, not the child's
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  execv(argv[0], argv);
  _exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const std::vector<std::string>& argv,
                                                                  const std::string& input,
                                                                  const std::string& log_path) {
  std::vector<std::string> copy = argv;
  std::vector<char*> pointers;
  for (std::string& word : copy) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  TRB_ASSIGN_OR_RETURN(const int in, InputPipe(input));
  const Fd input_end(in);
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) return ErrnoToStatus(errno, "pipe");
  const Fd writing_end(output[1]);
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const pid_t pid = log < 0 ? -1 : fork();
  if (pid == 0) Exec(pointers.data(), in, output[1]);
  if (pid < 0) {
    const int error = errno;
    close(output[0]);
    if (log < 0) return ErrnoToStatus(error, absl::StrCat("open ", log_path));
    close(log);
    return ErrnoToStatus(error, "fork");
  }
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, pidfd, {output[0], log, log_path}));
}

absl::Status ChildProcess::Run(const std::vector<std::string>& argv, const std::string& input,
                               const std::string& log_path) {
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<ChildProcess> child, Start(argv, input, log_path));
  const int code = child->Wait();
  if (code == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(argv[0], " ended with exit code ", code, ":\n", child->LogTail()));
}

ChildProcess::~ChildProcess() { Stop(absl::Seconds(10)); }

bool ChildProcess::WaitForEnd(absl::Duration at_most) {
  if (ended_) return true;
  if (pidfd_.get() >= 0) {
    struct pollfd p = {pidfd_.get(), POLLIN, 0};
    const int64_t ms = std::clamp<int64_t>(absl::ToInt64Milliseconds(at_most), 0, 1 << 30);
    while (poll(&p, 1, static_cast<int>(ms)) < 0 && errno == EINTR) {
    }
  }
  int status = 0;
  if (waitpid(pid_, &status, pidfd_.get() >= 0 ? WNOHANG : 0) != pid_) return false;
  ended_ = true;
  const absl::Duration deadline = Clock::System().Monotonic() + kLastWords;
  for (LogPump::State log = pump_.state(); !log.ended && Clock::System().Monotonic() < deadline;) {
    log = pump_.AwaitMore(log.pieces, deadline);
  }
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

bool ChildProcess::running() { return !WaitForEnd(absl::ZeroDuration()); }

int ChildProcess::Wait() {
  while (!WaitForEnd(absl::Minutes(1))) {
  }
  return exit_code_;
}

void ChildProcess::Stop(absl::Duration grace) {
  if (ended_) return;
  kill(pid_, SIGTERM);
  if (WaitForEnd(grace)) return;
  kill(pid_, SIGKILL);
  Wait();
}

std::string ChildProcess::LogTail() const {
  const std::string log = ReadFile(log_path_, kMaxLogBytes).value_or("");
  return log.substr(log.size() - std::min(log.size(), kTailBytes));
}

absl::StatusOr<std::string> ChildProcess::WaitForLine(const std::string& prefix, absl::Duration timeout) {
  const absl::Duration deadline = Clock::System().Monotonic() + timeout;
  for (LogPump::State log = pump_.state();;) {
    const std::string text = ReadFile(log_path_, kMaxLogBytes).value_or("");
    std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
    if (!log.ended) lines.pop_back();  // its end has not come yet
    for (const absl::string_view line : lines) {
      if (absl::StartsWith(line, prefix)) return std::string(line);
    }
    const absl::Duration left = deadline - Clock::System().Monotonic();
    if (log.ended && WaitForEnd(left)) {
      return absl::FailedPreconditionError(absl::StrCat("it ended, exit code ", exit_code_, ":\n", LogTail()));
    }
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(absl::StrCat("no line \"", prefix, "\" yet:\n", LogTail()));
    }
    log = pump_.AwaitMore(log.pieces, deadline);
  }
}

}  // namespace tributary::op
