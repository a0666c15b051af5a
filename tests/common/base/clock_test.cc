#include "common/base/clock.h"

#include <gtest/gtest.h>

#include <thread>

namespace tributary {
namespace {

TEST(SystemClockTest, MonotonicNeverStepsBack) {
  const Clock& clock = Clock::System();
  absl::Duration last = clock.Monotonic();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration now = clock.Monotonic();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(SystemClockTest, WallTimeIsOfThisCentury) {
  EXPECT_GT(Clock::System().Now(), absl::FromUnixSeconds(1'600'000'000));
  EXPECT_NEAR(static_cast<double>(Clock::System().NowUnixMillis()),
              static_cast<double>(absl::ToUnixMillis(Clock::System().Now())), 60'000);
}

TEST(SystemClockTest, WaitEndsAtTheDeadline) {
  const Clock& clock = Clock::System();
  Mutex mu;
  CondVar cv;
  MutexLock lock(&mu);
  const absl::Duration deadline = clock.Monotonic() + absl::Milliseconds(20);
  while (clock.Monotonic() < deadline) clock.WaitUntil(&mu, &cv, deadline);
  clock.WaitUntil(&mu, &cv, deadline);  // long past: returns at once
  clock.WaitUntil(&mu, &cv, -absl::InfiniteDuration());
}

TEST(SystemClockTest, NotificationEndsAnInfiniteWait) {
  const Clock& clock = Clock::System();
  Mutex mu;
  CondVar cv;
  bool ready = false;
  std::thread waiter([&] {
    MutexLock lock(&mu);
    while (!ready) clock.WaitUntil(&mu, &cv, absl::InfiniteDuration());
  });
  {
    MutexLock lock(&mu);
    ready = true;
    cv.NotifyAll();
  }
  waiter.join();
}

}  // namespace
}  // namespace tributary
