#include "common/base/limited_log.h"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"

namespace tributary {
namespace {

TEST(LimitedLogTest, AFewLinesAtOnceThenOneAtATime) {
  testing::ManualClock clock;
  LimitedLog log({.burst = 3, .one_each = absl::Seconds(1)}, &clock);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(log.Log(LogLevel::kDebug, "stranger", {})) << i;
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(log.Log(LogLevel::kDebug, "stranger", {})) << i;
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(log.Log(LogLevel::kDebug, "stranger", {}));
  EXPECT_FALSE(log.Log(LogLevel::kDebug, "stranger", {}));
}

}  // namespace
}  // namespace tributary
