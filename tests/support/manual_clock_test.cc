#include "tests/support/manual_clock.h"

#include <gtest/gtest.h>

#include <thread>

namespace tributary::testing {
namespace {

TEST(ManualClockTest, StandsStillUntilMoved) {
  ManualClock clock(absl::FromUnixSeconds(100));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(100));
  EXPECT_EQ(clock.Monotonic(), absl::ZeroDuration());
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(105));
  EXPECT_EQ(clock.Monotonic(), absl::Seconds(5));
}

TEST(ManualClockTest, WallTimeStepsAlone) {
  ManualClock clock;
  clock.SetWall(absl::FromUnixSeconds(1));
  EXPECT_EQ(clock.NowUnixMillis(), 1000);
  EXPECT_EQ(clock.Monotonic(), absl::ZeroDuration());
}

TEST(ManualClockTest, PastDeadlineDoesNotWait) {
  ManualClock clock;
  Mutex mu;
  CondVar cv;
  MutexLock lock(&mu);
  clock.WaitUntil(&mu, &cv, absl::ZeroDuration());
}

TEST(ManualClockTest, AdvanceWakesWaiters) {
  ManualClock clock;
  Mutex mu;
  CondVar cv;
  absl::Duration woke;
  std::thread waiter([&] {
    MutexLock lock(&mu);
    while (clock.Monotonic() < absl::Minutes(10)) clock.WaitUntil(&mu, &cv, absl::Minutes(10));
    woke = clock.Monotonic();
  });
  clock.AwaitWaiters(1);
  clock.Advance(absl::Minutes(9));
  clock.AwaitWaiters(1);
  clock.Advance(absl::Minutes(1));
  waiter.join();
  EXPECT_EQ(woke, absl::Minutes(10));
}

TEST(ManualClockTest, NotificationEndsTheWait) {
  ManualClock clock;
  Mutex mu;
  CondVar cv;
  bool ready = false;
  std::thread waiter([&] {
    MutexLock lock(&mu);
    while (!ready) clock.WaitUntil(&mu, &cv, absl::InfiniteDuration());
  });
  clock.AwaitWaiters(1);
  {
    MutexLock lock(&mu);
    ready = true;
  }
  cv.NotifyAll();
  waiter.join();
}

}  // namespace
}  // namespace tributary::testing
