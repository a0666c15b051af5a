#include "server/operator/interrupt.h"

#include <pthread.h>

#include <utility>

namespace tributary::op {

Interrupt::Interrupt() {
  sigemptyset(&signals_);
  for (const int s : {SIGINT, SIGTERM, SIGUSR2}) sigaddset(&signals_, s);  // SIGUSR2 ends the thread itself
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  thread_ = std::thread([this] { Wait(); });
}

Interrupt::~Interrupt() {
  {
    MutexLock lock(&mu_);
    done_ = true;
    callback_ = nullptr;
  }
  pthread_kill(thread_.native_handle(), SIGUSR2);
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Interrupt::Wait() {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals_, &signal) != 0) continue;
    std::function<void()> call;
    {
      MutexLock lock(&mu_);
      if (done_) return;
      if (signal == SIGUSR2 || seen_) continue;
      seen_ = true;
      call = callback_;
    }
    if (call) call();
  }
}

bool Interrupt::seen() const {
  MutexLock lock(&mu_);
  return seen_;
}

void Interrupt::OnSignal(std::function<void()> callback) {
  bool now = false;
  {
    MutexLock lock(&mu_);
    callback_ = callback;
    now = seen_;
  }
  if (now && callback) callback();
}

absl::Status Interrupt::status() const { return seen() ? absl::CancelledError("interrupted") : absl::OkStatus(); }

}  // namespace tributary::op
