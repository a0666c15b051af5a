#include "common/rpc/clock_steps.h"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"

namespace tributary::rpc {
namespace {

class ClockStepsTest : public ::testing::Test {
 protected:
  testing::ManualClock clock_;
  int woken_ = 0;
  ClockSteps steps_{&clock_, [this] { ++woken_; }};
};

TEST_F(ClockStepsTest, TimeThatPassesIsNoStep) {
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(absl::Hours(10));
    EXPECT_EQ(absl::ZeroDuration(), steps_.Look());
  }
  EXPECT_EQ(0, woken_);
}

TEST_F(ClockStepsTest, EachStepIsSeenOnce) {
  const absl::Duration decade = absl::Hours(24 * 3652);
  clock_.SetWall(clock_.Now() + decade);
  clock_.Advance(absl::Seconds(3));
  EXPECT_EQ(decade, steps_.Look());
  EXPECT_EQ(absl::ZeroDuration(), steps_.Look());
  clock_.SetWall(clock_.Now() - decade);
  EXPECT_EQ(-decade, steps_.Look());
  EXPECT_EQ(2, woken_);
}

TEST_F(ClockStepsTest, DriftIsFollowedAndNotAddedUp) {
  for (int i = 0; i < 100; ++i) {
    clock_.SetWall(clock_.Now() + absl::Milliseconds(100));
    EXPECT_EQ(absl::ZeroDuration(), steps_.Look());
  }
  EXPECT_EQ(0, woken_);
}

TEST(ClockWatchTest, ItEndsWhenItIsTold) {
  testing::ManualClock clock;
  const ClockWatch watch(&clock);
  clock.AwaitWaiters(1);
}

}  // namespace
}  // namespace tributary::rpc
