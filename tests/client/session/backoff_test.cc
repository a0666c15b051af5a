#include "client/session/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace tributary::session {
namespace {

TEST(BackoffTest, GrowsFromMinToMaxAndStaysWithin) {
  Backoff backoff({absl::Milliseconds(100), absl::Seconds(5)}, 1);
  absl::Duration longest = absl::ZeroDuration();
  for (int i = 1; i <= 200; ++i) {
    const absl::Duration pause = backoff.Next();
    EXPECT_GE(pause, absl::Milliseconds(100));
    EXPECT_LE(pause, std::min(absl::Seconds(5), absl::Milliseconds(100) * (int64_t{1} << std::min(i, 20))));
    longest = std::max(longest, pause);
  }
  EXPECT_GT(longest, absl::Seconds(4)) << "200 draws never came near the longest pause";
}

TEST(BackoffTest, ASuccessStartsOver) {
  Backoff backoff({absl::Milliseconds(100), absl::Hours(1)}, 1);
  for (int i = 0; i < 20; ++i) backoff.Next();
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Milliseconds(200));
}

TEST(BackoffTest, ClientsDoNotComeBackTogether) {
  std::set<absl::Duration> pauses;
  for (uint64_t seed = 0; seed < 50; ++seed) pauses.insert(Backoff({}, seed).Next());
  EXPECT_GT(pauses.size(), 45u);
}

TEST(BackoffTest, NonsenseFromTheCoordinatorIsMended) {
  Backoff backoff({}, 1);
  backoff.SetRange({absl::ZeroDuration(), absl::ZeroDuration()});
  EXPECT_GT(backoff.Next(), absl::ZeroDuration());
  backoff.SetRange({absl::Seconds(9), absl::Seconds(1)});
  EXPECT_EQ(absl::Seconds(9), backoff.Next());
}

}  // namespace
}  // namespace tributary::session
