#include "common/base/token_buckets.h"

#include <gmock/gmock.h>

#include "tests/support/manual_clock.h"

namespace tributary {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class TokenBucketsTest : public ::testing::Test {
 protected:
  int TakeAll(const std::string& key, int times) {
    int taken = 0;
    for (int i = 0; i < times; ++i) taken += buckets_.Take(key) ? 1 : 0;
    return taken;
  }
  testing::ManualClock clock_;
  TokenBuckets buckets_{{.burst = 3, .one_each = absl::Seconds(10)}, &clock_};
};

TEST_F(TokenBucketsTest, ABucketGivesItsBurstAndFillsByTheClock) {
  EXPECT_EQ(TakeAll("a", 10), 3);
  clock_.Advance(absl::Seconds(9));
  EXPECT_FALSE(buckets_.Take("a"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(TakeAll("a", 10), 1);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(TakeAll("a", 10), 3) << "never more than full";
}

TEST_F(TokenBucketsTest, EveryKeyHasItsOwn) {
  EXPECT_EQ(TakeAll("a", 10), 3);
  EXPECT_EQ(TakeAll("b", 2), 2);
}

TEST_F(TokenBucketsTest, RefusalsAreCountedOnce) {
  EXPECT_THAT(buckets_.TakeRefused(), IsEmpty());
  TakeAll("a", 10);
  TakeAll("b", 4);
  TakeAll("c", 3);
  EXPECT_THAT(buckets_.TakeRefused(), ElementsAre(Pair("a", 7), Pair("b", 1)));
  EXPECT_THAT(buckets_.TakeRefused(), IsEmpty());
  EXPECT_FALSE(buckets_.Take("a")) << "told, but empty all the same";
}

}  // namespace
}  // namespace tributary
