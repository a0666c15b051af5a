#include "server/service/client_quotas.h"

#include <gmock/gmock.h>

#include "tests/support/manual_clock.h"
#include "tests/support/status_matchers.h"

namespace tributary::service {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using Way = ClientQuotas::Way;

constexpr auto kTooMuch = absl::StatusCode::kResourceExhausted;

class ClientQuotasTest : public ::testing::Test {
 protected:
  testing::ManualClock clock_;
  ClientQuotas quotas_{{.sessions_a_minute = 6,
                        .calls_a_second = 5,
                        .messages_a_second = 2,
                        .uploads = 1,
                        .downloads = 2,
                        .transfer_factor = 3,
                        .bytes_a_day = 0},
                       &clock_};
};

TEST_F(ClientQuotasTest, SessionsComeBackWithTime) {
  for (int i = 0; i < 6; ++i) EXPECT_THAT(quotas_.TakeSession("a"), IsOk()) << i;
  EXPECT_THAT(quotas_.TakeSession("a"),
              StatusIs(kTooMuch, HasSubstr("opens sessions too often: try again in 1000 ms")));
  EXPECT_THAT(quotas_.TakeSession("b"), IsOk()) << "another client does not feel it";
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(quotas_.TakeSession("a"), IsOk());
  EXPECT_THAT(quotas_.TakeSession("a"), StatusIs(kTooMuch));
}

TEST_F(ClientQuotasTest, CallsMayComeInABurstButNotGoOnSo) {
  for (int i = 0; i < 20; ++i) EXPECT_THAT(quotas_.TakeCall("a"), IsOk()) << i;
  EXPECT_THAT(quotas_.TakeCall("a"), StatusIs(kTooMuch, HasSubstr("calls too often")));
  clock_.Advance(absl::Seconds(1));
  for (int i = 0; i < 5; ++i) EXPECT_THAT(quotas_.TakeCall("a"), IsOk()) << i;
  EXPECT_THAT(quotas_.TakeCall("a"), StatusIs(kTooMuch));
}

TEST_F(ClientQuotasTest, MessagesLikewise) {
  for (int i = 0; i < 20; ++i) EXPECT_THAT(quotas_.TakeMessage("a"), IsOk()) << i;
  EXPECT_THAT(quotas_.TakeMessage("a"), StatusIs(kTooMuch, HasSubstr("too many messages")));
  clock_.Advance(absl::Milliseconds(500));
  EXPECT_THAT(quotas_.TakeMessage("a"), IsOk());
}

TEST_F(ClientQuotasTest, DownloadsCountWhileTheyRun) {
  ASSERT_OK_AND_ASSIGN(ClientQuotas::Hold first, quotas_.StartDownload("a"));
  ASSERT_OK_AND_ASSIGN(const ClientQuotas::Hold second, quotas_.StartDownload("a"));
  EXPECT_THAT(quotas_.StartDownload("a").status(), StatusIs(kTooMuch, HasSubstr("downloads already")));
  EXPECT_THAT(quotas_.StartDownload("b").status(), IsOk());
  first.reset();
  EXPECT_THAT(quotas_.StartDownload("a").status(), IsOk());
}

TEST_F(ClientQuotasTest, AHoldMayOutliveTheQuotas) {
  ClientQuotas::Hold hold;
  {
    ClientQuotas brief({}, &clock_);
    ASSERT_OK_AND_ASSIGN(hold, brief.StartDownload("a"));
  }
  hold.reset();
}

TEST_F(ClientQuotasTest, ATasksBytesMayMoveAFewTimesOnly) {
  constexpr uint64_t kWhole = ClientQuotas::kFreeBytes;
  for (int i = 0; i < 3; ++i) EXPECT_THAT(quotas_.TakeBytes("a", "task", Way::kUp, kWhole, kWhole), IsOk()) << i;
  EXPECT_THAT(quotas_.TakeBytes("a", "task", Way::kUp, 1, kWhole), StatusIs(kTooMuch, HasSubstr("too many times")));
  EXPECT_THAT(quotas_.TakeBytes("a", "task", Way::kDown, kWhole, kWhole), IsOk()) << "the other way counts alone";
  EXPECT_THAT(quotas_.TakeBytes("a", "next", Way::kUp, kWhole, kWhole), IsOk());
  EXPECT_THAT(quotas_.TakeBytes("b", "task", Way::kUp, kWhole, kWhole), IsOk());
}

TEST_F(ClientQuotasTest, SmallTasksMayBeRetriedFreely) {
  for (int i = 0; i < 1000; ++i) ASSERT_THAT(quotas_.TakeBytes("a", "tiny", Way::kUp, 156, 156), IsOk());
}

TEST_F(ClientQuotasTest, AFactorTimesAHugeSizeDoesNotOverflow) {
  quotas_.SetLimits({.transfer_factor = 1'000'000});
  EXPECT_THAT(quotas_.TakeBytes("a", "task", Way::kUp, 1ull << 30, 1ull << 30), IsOk());
  EXPECT_THAT(quotas_.TakeBytes("a", "task", Way::kUp, 1, 1ull << 30), IsOk());
}

TEST_F(ClientQuotasTest, BytesOfADayFade) {
  quotas_.SetLimits({.transfer_factor = 0, .bytes_a_day = 1000});
  EXPECT_THAT(quotas_.TakeBytes("a", "1", Way::kUp, 600, 600), IsOk());
  EXPECT_THAT(quotas_.TakeBytes("a", "2", Way::kDown, 600, 600), IsOk());
  EXPECT_THAT(quotas_.TakeBytes("a", "3", Way::kUp, 0, 1), StatusIs(kTooMuch, HasSubstr("bytes of a day")));
  clock_.Advance(absl::Hours(12));
  EXPECT_THAT(quotas_.TakeBytes("a", "3", Way::kUp, 1, 1), IsOk());
}

TEST_F(ClientQuotasTest, NoughtIsNoLimit) {
  quotas_.SetLimits({0, 0, 0, 0, 0, 0, 0});
  std::vector<ClientQuotas::Hold> holds;
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_THAT(quotas_.TakeSession("a"), IsOk());
    ASSERT_THAT(quotas_.TakeCall("a"), IsOk());
    ASSERT_THAT(quotas_.TakeMessage("a"), IsOk());
    ASSERT_THAT(quotas_.TakeBytes("a", "task", Way::kUp, 1ull << 40, 1), IsOk());
    ASSERT_OK_AND_ASSIGN(holds.emplace_back(), quotas_.StartDownload("a"));
  }
}

TEST_F(ClientQuotasTest, ARefusalIsWorthARowOnceAMinute) {
  EXPECT_TRUE(quotas_.WorthTelling("a"));
  EXPECT_FALSE(quotas_.WorthTelling("a"));
  EXPECT_TRUE(quotas_.WorthTelling("b"));
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(quotas_.WorthTelling("a"));
}

}  // namespace
}  // namespace tributary::service
