#include "common/base/stop_limit.h"

#include <gtest/gtest.h>

#include <future>

#include "tests/support/manual_clock.h"

namespace tributary {
namespace {

TEST(StopLimitTest, ItEndsWhatTakesTooLong) {
  testing::ManualClock clock;
  std::stop_source stop;
  std::promise<void> ended;
  StopLimit limit(stop.get_token(), &clock, [&] { ended.set_value(); });
  stop.request_stop();
  clock.AwaitWaiters(1);
  clock.Advance(StopLimit::kLimit - absl::Seconds(1));
  clock.AwaitWaiters(1);
  clock.Advance(absl::Seconds(1));
  ended.get_future().wait();
}

TEST(StopLimitTest, WhatStopsInTimeIsLeftAlone) {
  testing::ManualClock clock;
  std::stop_source stop;
  bool ended = false;
  {
    StopLimit limit(stop.get_token(), &clock, [&] { ended = true; });
    stop.request_stop();
    clock.AwaitWaiters(1);
    clock.Advance(absl::Seconds(2));
  }
  EXPECT_FALSE(ended);
}

TEST(StopLimitTest, WithoutAStopTimeDoesNotCount) {
  testing::ManualClock clock;
  std::stop_source stop;
  bool ended = false;
  {
    StopLimit limit(stop.get_token(), &clock, [&] { ended = true; });
    clock.Advance(absl::Hours(100));
  }
  EXPECT_FALSE(ended);
}

}  // namespace
}  // namespace tributary
