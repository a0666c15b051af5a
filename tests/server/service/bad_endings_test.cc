#include "server/service/bad_endings.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace tributary::service {
namespace {

constexpr absl::Duration kNow = absl::Hours(1);
constexpr absl::Duration kEach = absl::Seconds(1);

TEST(BadEndingsTest, EachIsForgivenAfterTheOther) {
  BadEndings endings;
  for (int i = 0; i < 3; ++i) endings.Add("a", 1, 10, kEach, kNow);
  EXPECT_EQ(endings.Of("a", kEach, kNow), 3u);
  EXPECT_EQ(endings.Of("a", kEach, kNow + absl::Milliseconds(999)), 3u);
  EXPECT_EQ(endings.Of("a", kEach, kNow + absl::Seconds(1)), 2u);
  EXPECT_EQ(endings.Of("a", kEach, kNow + absl::Seconds(3)), 0u);
}

TEST(BadEndingsTest, SomeCountForMore) {
  BadEndings endings;
  endings.Add("a", 4, 10, kEach, kNow);
  endings.Add("a", 1, 10, kEach, kNow);
  EXPECT_EQ(endings.Of("a", kEach, kNow), 5u);
}

TEST(BadEndingsTest, AreOfOneSite) {
  BadEndings endings;
  endings.Add("a", 1, 10, kEach, kNow);
  EXPECT_EQ(endings.Of("b", kEach, kNow), 0u);
}

TEST(BadEndingsTest, NobodyOwesMoreThanTheMost) {
  BadEndings endings;
  for (int i = 0; i < 100; ++i) endings.Add("a", 1, 10, kEach, kNow);
  EXPECT_EQ(endings.Of("a", kEach, kNow), 10u);
  EXPECT_EQ(endings.Of("a", kEach, kNow + absl::Seconds(10)), 0u);
}

TEST(BadEndingsTest, AreForgivenFasterOnceEachTakesLess) {
  BadEndings endings;
  endings.Add("a", 8, 10, kEach, kNow);
  EXPECT_EQ(endings.Of("a", 4 * kEach, kNow), 2u);
}

TEST(BadEndingsTest, WhatIsForgivenTakesNoMemory) {
  BadEndings endings;
  endings.Add("a", 1, 10, kEach, kNow);
  endings.Add("b", 1, 10, kEach, kNow + absl::Seconds(1));
  endings.Sweep(kNow + absl::Seconds(1));
  EXPECT_EQ(endings.sites(), 1u);
  EXPECT_EQ(endings.Of("b", kEach, kNow + absl::Seconds(1)), 1u);
}

TEST(BadEndingsTest, NoNumberOfSitesTakesMoreMemoryThanTheMost) {
  BadEndings endings;
  for (size_t i = 0; i < 2 * BadEndings::kMostSites; ++i) endings.Add(absl::StrCat(i), 1, 10, kEach, kNow);
  EXPECT_LE(endings.sites(), BadEndings::kMostSites);
  EXPECT_EQ(endings.Of(absl::StrCat(2 * BadEndings::kMostSites - 1), kEach, kNow), 1u);
}

}  // namespace
}  // namespace tributary::service
