#include "server/operator/log_pump.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "common/base/clock.h"
#include "common/base/logging.h"

namespace tributary::op {

LogPump::LogPump(int pipe, int log, std::string log_path, int pidfd)
    : pipe_(pipe), log_(log), log_path_(std::move(log_path)), pidfd_(pidfd), thread_([this] { Run(); }) {}

LogPump::~LogPump() { thread_.join(); }

// One piece from the pipe into the log. False: there is none and none will come.
bool LogPump::CarryOne() {
  char piece[16 * 1024];
  const ssize_t n = read(pipe_.get(), piece, sizeof piece);
  if (n < 0 && errno == EINTR) return true;
  if (n <= 0) return false;
  const absl::Status written = WriteAll(log_.get(), std::string_view(piece, static_cast<size_t>(n)), log_path_);
  // Read on all the same: a child whose pipe is full stands still.
  if (!written.ok()) Log(LogLevel::kError, "log_not_written", {{"reason", written.ToString()}});
  MutexLock lock(&mu_);
  ++state_.pieces;
  changed_.NotifyAll();
  return true;
}

void LogPump::Run() {
  bool more = true;
  while (more) {
    pollfd fds[2] = {{pipe_.get(), POLLIN, 0}, {pidfd_, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;  // a signal
    if (fds[0].revents != 0) {
      more = CarryOne();
    } else {
      more = false;  // it has ended and the pipe is empty; what it left running may hold the other end for ever
    }
  }
  MutexLock lock(&mu_);
  state_.ended = true;
  changed_.NotifyAll();
}

LogPump::State LogPump::state() {
  MutexLock lock(&mu_);
  return state_;
}

LogPump::State LogPump::AwaitMore(uint64_t pieces, absl::Duration deadline) {
  const Clock& clock = Clock::System();
  MutexLock lock(&mu_);
  while (state_.pieces == pieces && !state_.ended && clock.Monotonic() < deadline) {
    clock.WaitUntil(&mu_, &changed_, deadline);
  }
  return state_;
}

}  // namespace tributary::op
