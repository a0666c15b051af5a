// SIGTERM and SIGINT as a stop request. While a Signals lives, a thread of its own takes both. Make it before other
// threads start: they inherit the blocked signals. One at a time.
#ifndef TRIBUTARY_CLIENT_COMMANDS_SIGNALS_H_
#define TRIBUTARY_CLIENT_COMMANDS_SIGNALS_H_

#include <csignal>
#include <stop_token>
#include <thread>

namespace tributary::commands {

class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  std::stop_token stop() const { return stop_.get_token(); }

 private:
  sigset_t signals_, before_;  // set once
  std::stop_source stop_;
  std::stop_source ended_;
  std::thread thread_;
};

}  // namespace tributary::commands

#endif  // TRIBUTARY_CLIENT_COMMANDS_SIGNALS_H_
