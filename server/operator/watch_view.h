// What `--watch` shows: on a terminal a table line per finished round and, below it, one line redrawn in place with a
// bar; elsewhere one plain `key=value` line per finished round and per change of the run's state. Pure: returns what to
// write. Not for use by several threads at once.
#ifndef TRIBUTARY_SERVER_OPERATOR_WATCH_VIEW_H_
#define TRIBUTARY_SERVER_OPERATOR_WATCH_VIEW_H_

#include <cstdint>
#include <string>

#include "tributary/v1/operator.pb.h"

namespace tributary::op {

class WatchView {
 public:
  explicit WatchView(bool terminal) : terminal_(terminal) {}

  std::string OnEvent(const v1::RunEvent& event);
  // A finished round; each is shown once, in order of number, however often it is given.
  std::string OnRound(const v1::Round& round);
  // The last words: how the run ended. Clears the bar.
  std::string OnEnd(const v1::Run& run);
  uint64_t last_round_shown() const { return last_round_; }

 private:
  std::string RoundLine(const v1::Round& round) const;
  std::string Bar(const v1::RunEvent& event);
  std::string Clear();

  const bool terminal_;
  bool header_shown_ = false, bar_shown_ = false;
  uint64_t last_round_ = 0;
  uint64_t bar_round_ = 0;
  double bar_share_ = 0;  // the largest shown in that round
  std::string last_state_;
};

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_WATCH_VIEW_H_
