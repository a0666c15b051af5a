#include "common/learning/seeds.h"

#include <gtest/gtest.h>

#include <string>

#include "common/base/bytes.h"

namespace tributary::learning {
namespace {

std::string Hex(const Seed& seed) { return HexEncode(std::string(seed.begin(), seed.end())); }

// Golden numbers from another implementation (Python's struct and hashlib) of the layout in the header.
TEST(SeedsTest, AreTheDocumentedDigests) {
  EXPECT_EQ(Hex(DeriveSeed(1, 2, "client-0001", kShufflePurpose)),
            "215671fc942ed5be92015b2948789c50ec7b2aed89bbedd6e11df6fa6561acde");
  EXPECT_EQ(Hex(DeriveSeed(1, 0, "", kInitPurpose)),
            "4dcfc904bfcfdb852366700722d93e3c5426181f4651155b8f065f33ee686314");
}

TEST(SeedsTest, EveryPartMatters) {
  const Seed seed = DeriveSeed(1, 2, "alpha", kShufflePurpose);
  EXPECT_NE(seed, DeriveSeed(2, 2, "alpha", kShufflePurpose));
  EXPECT_NE(seed, DeriveSeed(1, 3, "alpha", kShufflePurpose));
  EXPECT_NE(seed, DeriveSeed(1, 2, "alphb", kShufflePurpose));
  EXPECT_NE(seed, DeriveSeed(1, 2, "alpha", kDropoutPurpose));
  EXPECT_NE(DeriveSeed(1, 2, "ab", "c"), DeriveSeed(1, 2, "a", "bc"));
}

}  // namespace
}  // namespace tributary::learning
