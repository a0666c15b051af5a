#include "server/service/upload_slots.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/service/upload_pace.h"
#include "tests/support/manual_clock.h"
#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

using testing::IsOk;
using testing::StatusIs;

class UploadSlotsTest : public ::testing::Test {
 protected:
  absl::Status Enter(uint64_t ticket, const std::string& client) {
    return slots_.Enter({ticket, client, [this, ticket] { went_.push_back(ticket); },
                         [this, ticket](bool wait) {
                           checked_.push_back(ticket);
                           others_wait_ = wait;
                         }});
  }

  UploadSlots slots_{{.reading = 2, .waiting = 2, .each_client = 2}};
  std::vector<uint64_t> went_, checked_;
  bool others_wait_ = false;
};

TEST_F(UploadSlotsTest, TheOldestThatWaitsTakesAFreeSlot) {
  for (const auto& [ticket, client] : {std::pair(7, "a"), {5, "b"}, {9, "c"}, {1, "d"}}) {
    ASSERT_THAT(Enter(ticket, client), IsOk());
  }
  EXPECT_EQ(went_, (std::vector<uint64_t>{7, 5}));
  slots_.Leave(5);
  slots_.Leave(7);
  EXPECT_EQ(went_, (std::vector<uint64_t>{7, 5, 9, 1}));
}

TEST_F(UploadSlotsTest, WithoutRoomAClientIsToldToComeBack) {
  for (const auto& [ticket, client] : {std::pair(1, "a"), {2, "b"}, {3, "c"}, {4, "d"}}) {
    EXPECT_FALSE(slots_.FullFor("e"));
    ASSERT_THAT(Enter(ticket, client), IsOk());
  }
  EXPECT_TRUE(slots_.FullFor("e"));
  EXPECT_THAT(Enter(5, "e"), StatusIs(absl::StatusCode::kResourceExhausted));
  slots_.Leave(1);
  EXPECT_THAT(Enter(6, "e"), IsOk());
}

TEST_F(UploadSlotsTest, OneClientHoldsNoMoreThanItsShareAlsoWhileItWaits) {
  ASSERT_THAT(Enter(1, "a"), IsOk());
  ASSERT_THAT(Enter(2, "a"), IsOk());
  EXPECT_TRUE(slots_.FullFor("a"));
  EXPECT_FALSE(slots_.FullFor("b"));
  EXPECT_THAT(Enter(3, "a"), StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_THAT(Enter(4, "b"), IsOk());
  ASSERT_THAT(Enter(5, "b"), IsOk());
  EXPECT_THAT(Enter(6, "b"), StatusIs(absl::StatusCode::kResourceExhausted)) << "both wait";
  slots_.Leave(1);
  EXPECT_THAT(Enter(7, "a"), IsOk());
}

TEST_F(UploadSlotsTest, OneThatLeavesWhileItWaitsNeverGoes) {
  for (const auto& [ticket, client] : {std::pair(1, "a"), {2, "a"}, {3, "b"}, {4, "b"}}) {
    ASSERT_THAT(Enter(ticket, client), IsOk());
  }
  slots_.Leave(3);
  slots_.Leave(3);  // once more is fine, and frees nothing
  EXPECT_EQ(went_, (std::vector<uint64_t>{1, 2}));
  slots_.Leave(1);
  EXPECT_EQ(went_, (std::vector<uint64_t>{1, 2, 4}));
  slots_.Leave(2);
  slots_.Leave(4);
  EXPECT_EQ(went_, (std::vector<uint64_t>{1, 2, 4}));
}

TEST_F(UploadSlotsTest, OnlyThoseThatReadAreChecked) {
  for (const uint64_t ticket : {1, 2, 3}) ASSERT_THAT(Enter(ticket, std::string(1, char('a' + ticket))), IsOk());
  slots_.CheckAll();
  EXPECT_EQ(checked_, (std::vector<uint64_t>{1, 2}));
  EXPECT_TRUE(others_wait_);
  slots_.Leave(1);
  slots_.CheckAll();
  EXPECT_FALSE(others_wait_);
}

TEST(UploadPaceTest, ATurnIsOverAtTheLimitHoweverMuchComes) {
  testing::ManualClock clock;
  UploadPace pace(&clock, absl::Seconds(30));
  clock.Advance(absl::Hours(1));
  pace.StartTurn();
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(pace.TurnIsOver());
    pace.StartWaiting();
    clock.Advance(absl::Seconds(10));
    EXPECT_FALSE(pace.IsSilent());
    pace.Heard(UploadPace::kLeastBytes);
  }
  EXPECT_TRUE(pace.TurnIsOver());
  pace.StartTurn();
  EXPECT_FALSE(pace.TurnIsOver());
}

TEST(UploadPaceTest, APeerThatBringsNothingIsSilentAtTheLimit) {
  testing::ManualClock clock;
  UploadPace pace(&clock, absl::Seconds(30));
  pace.StartWaiting();
  clock.Advance(absl::Seconds(29));
  EXPECT_FALSE(pace.IsSilent());
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(pace.IsSilent());
}

TEST(UploadPaceTest, EnoughBytesStartTheLimitAgain) {
  testing::ManualClock clock;
  UploadPace pace(&clock, absl::Seconds(30));
  for (int i = 0; i < 5; ++i) {
    pace.StartWaiting();
    clock.Advance(absl::Seconds(20));
    EXPECT_FALSE(pace.IsSilent()) << i;
    pace.Heard(UploadPace::kLeastBytes);
  }
}

TEST(UploadPaceTest, AByteNowAndThenDoesNotKeepASlot) {
  testing::ManualClock clock;
  UploadPace pace(&clock, absl::Seconds(30));
  pace.StartWaiting();
  clock.Advance(absl::Seconds(20));
  pace.Heard(1);
  pace.StartWaiting();
  clock.Advance(absl::Seconds(10));
  EXPECT_TRUE(pace.IsSilent());
}

TEST(UploadPaceTest, OurOwnTimeForAChunkDoesNotCount) {
  testing::ManualClock clock;
  UploadPace pace(&clock, absl::Seconds(30));
  pace.StartWaiting();
  clock.Advance(absl::Seconds(20));
  pace.Heard(1);
  clock.Advance(absl::Minutes(5));  // hashing, a slow disk
  pace.StartWaiting();
  clock.Advance(absl::Seconds(9));
  EXPECT_FALSE(pace.IsSilent());
}

}  // namespace
}  // namespace tributary::service
