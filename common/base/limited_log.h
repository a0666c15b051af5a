// Log lines that strangers can cause: a few at once, then one a second; what was left out is counted in the next one.
// Threads: safe from any thread.
#ifndef TRIBUTARY_COMMON_BASE_LIMITED_LOG_H_
#define TRIBUTARY_COMMON_BASE_LIMITED_LOG_H_

#include <initializer_list>
#include <string_view>

#include "common/base/logging.h"
#include "common/base/token_buckets.h"

namespace tributary {

class LimitedLog {
 public:
  explicit LimitedLog(const TokenBuckets::Rate& rate = {.burst = 20, .one_each = absl::Seconds(1)},
                      const Clock* clock = &Clock::System())
      : lines_(rate, clock) {}

  // As tributary::Log, and a line `lines_left_out` behind it when some are missing. False: it was left out.
  bool Log(LogLevel level, std::string_view event, std::initializer_list<Field> fields);

 private:
  TokenBuckets lines_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_LIMITED_LOG_H_
