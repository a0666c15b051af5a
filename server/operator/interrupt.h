// Ctrl-C and SIGTERM for verbs that last: they end what is under way instead of killing the process.
// While an Interrupt lives, both signals are taken by a thread of its own. Make it before other threads start: they
// inherit the blocked signals. One at a time.
#ifndef TRIBUTARY_SERVER_OPERATOR_INTERRUPT_H_
#define TRIBUTARY_SERVER_OPERATOR_INTERRUPT_H_

#include <csignal>
#include <functional>
#include <thread>

#include "common/base/mutex.h"
#include "common/base/status.h"

namespace tributary::op {

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool seen() const;
  // Called once at the first signal, from the signal thread (at once when it came before). Replaces an earlier one; an
  // empty function takes it away.
  void OnSignal(std::function<void()> callback);
  // CANCELLED once a signal has come.
  absl::Status status() const;

 private:
  void Wait();

  sigset_t signals_, before_;  // set once
  mutable Mutex mu_;
  bool seen_ TRB_GUARDED_BY(mu_) = false;
  bool done_ TRB_GUARDED_BY(mu_) = false;
  std::function<void()> callback_ TRB_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_INTERRUPT_H_
