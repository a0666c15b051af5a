#include "common/learning/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::learning {
namespace {

using ::testing::ElementsAre;

// Golden numbers from another implementation (Python's struct and hashlib) of the layout in the header.
TEST(SelectionTest, RankIsTheDocumentedDigest) {
  EXPECT_EQ(SelectionRank(1, 2, "alpha"), "5c32ee40aef705492d1ec992f932ef8439aeba737e0819b1df2adb0103405952");
}

TEST(SelectionTest, LowestRankComesFirstWhateverTheOrder) {
  EXPECT_THAT(RankClients(1, 2, {"alpha", "beta", "gamma", "delta"}), ElementsAre("beta", "alpha", "gamma", "delta"));
  EXPECT_THAT(RankClients(1, 2, {"delta", "gamma", "beta", "alpha"}), ElementsAre("beta", "alpha", "gamma", "delta"));
}

TEST(SelectionTest, AnotherRoundOrSeedRanksAnew) {
  EXPECT_THAT(RankClients(1, 3, {"alpha", "beta", "gamma", "delta"}), ElementsAre("delta", "gamma", "alpha", "beta"));
  EXPECT_NE(SelectionRank(1, 2, "alpha"), SelectionRank(2, 2, "alpha"));
}

TEST(SelectionTest, NobodyRanksAsNobody) { EXPECT_TRUE(RankClients(1, 1, {}).empty()); }

TEST(SelectionTest, EveryClientIsPreferredEquallyOften) {
  int first = 0;
  for (uint64_t round = 1; round <= 4000; ++round) first += RankClients(9, round, {"a", "b", "c", "d"})[0] == "a";
  EXPECT_NEAR(first, 1000, 110);  // four standard deviations
}

TEST(InvitationCountTest, RoundsUpWhatIsNotWhole) {
  EXPECT_EQ(InvitationCount(10, 1.0), 10u);
  EXPECT_EQ(InvitationCount(10, 1.1), 11u);  // 11.000000000000002 in binary
  EXPECT_EQ(InvitationCount(10, 1.11), 12u);
  EXPECT_EQ(InvitationCount(3, 1.5), 5u);
  EXPECT_EQ(InvitationCount(1000000, 1.3), 1300000u);
}

TEST(InvitationCountTest, IsNeverFewerThanTheClientsWanted) {
  EXPECT_EQ(InvitationCount(7, 0.5), 7u);
  EXPECT_EQ(InvitationCount(7, 0), 7u);
  EXPECT_EQ(InvitationCount(7, -3), 7u);
}

}  // namespace
}  // namespace tributary::learning
