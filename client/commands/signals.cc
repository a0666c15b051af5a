#include "client/commands/signals.h"

#include <pthread.h>

namespace tributary::commands {

Signals::Signals() {
  sigemptyset(&signals_);
  for (const int s : {SIGINT, SIGTERM, SIGUSR2}) sigaddset(&signals_, s);  // SIGUSR2 ends the thread itself
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  thread_ = std::thread([this] {
    while (!ended_.stop_requested()) {
      int signal = 0;
      if (sigwait(&signals_, &signal) == 0 && signal != SIGUSR2) stop_.request_stop();
    }
  });
}

Signals::~Signals() {
  ended_.request_stop();
  pthread_kill(thread_.native_handle(), SIGUSR2);
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace tributary::commands
