#include "server/rounds/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "server/rounds/aggregation.h"
#include "tests/server/rounds/stored_updates.h"
#include "tests/support/status_matchers.h"

namespace tributary::rounds {
namespace {

using ::testing::HasSubstr;
using testing::kTinyParameters;
using testing::StatusIs;

class ReplayTest : public StoredUpdatesTest {
 protected:
  // A round of two clients, aggregated as a real one is.
  ReplayTest() {
    recorded_.contributions = {Row("a", 0.1f, 3), Row("b", -0.7f, 5)};
    recorded_.round.set_round(7);
    recorded_.round.set_accepted(2);
    recorded_.round.set_base_model_sha256(base_);
    recorded_.round.set_model_sha256(
        AggregateRound(spec_, base_, recorded_.contributions, blobs_.get(), nullptr)->new_model_sha256);
  }

  v1::ReplayedRound Replay(bool may_be_gone = false) {
    auto out = ReplayRound(spec_, recorded_, may_be_gone, blobs_.get(), nullptr);
    EXPECT_THAT(out, testing::IsOk());
    return out.value_or(v1::ReplayedRound());
  }

  RecordedRound recorded_;
};

TEST_F(ReplayTest, MakesTheSameModelAndStoresNothing) {
  ASSERT_OK(blobs_->Remove(recorded_.round.model_sha256()));
  const size_t before = blobs_->List()->size();
  const v1::ReplayedRound round = Replay();
  EXPECT_EQ(round.state(), "equal") << round.reason();
  EXPECT_EQ(round.round(), 7u);
  EXPECT_EQ(round.replayed_model_sha256(), recorded_.round.model_sha256());
  EXPECT_EQ(blobs_->List()->size(), before);
}

TEST_F(ReplayTest, AnotherWeightOrUpdateGivesAnotherModel) {
  recorded_.contributions[0].set_weight(4);
  EXPECT_EQ(Replay().state(), "differs");
  recorded_.contributions[0] = Row("a", 0.2f, 3);
  const v1::ReplayedRound round = Replay();
  EXPECT_EQ(round.state(), "differs");
  EXPECT_THAT(round.reason(), HasSubstr("another model"));
  EXPECT_NE(round.replayed_model_sha256(), round.model_sha256());
}

TEST_F(ReplayTest, UpdatesThatWereDeletedByPlanAreNoFaultAndThoseThatWereNotAre) {
  ASSERT_OK(blobs_->Remove(recorded_.contributions[1].update_sha256()));
  const v1::ReplayedRound by_plan = Replay(/*may_be_gone=*/true);
  EXPECT_EQ(by_plan.state(), "not_replayable");
  EXPECT_THAT(by_plan.reason(), HasSubstr("1 of its 2 updates were deleted, as keep_updates says"));
  EXPECT_THAT(by_plan.reason(), HasSubstr("client b"));
  EXPECT_EQ(Replay(/*may_be_gone=*/false).state(), "failed");
}

TEST_F(ReplayTest, AChangedByteIsAFaultWhateverThePlan) {
  std::fstream(blobs_->PathOf(recorded_.contributions[0].update_sha256()), std::ios::in | std::ios::out).put('x');
  EXPECT_EQ(Replay(/*may_be_gone=*/true).state(), "failed");
}

TEST_F(ReplayTest, StopsWhenNobodyWaitsForIt) {
  EXPECT_THAT(ReplayRound(spec_, recorded_, false, blobs_.get(), [] { return true; }),
              StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace tributary::rounds
