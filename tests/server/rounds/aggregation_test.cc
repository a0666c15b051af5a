#include "server/rounds/aggregation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "common/crypto/digest.h"
#include "tests/server/rounds/stored_updates.h"
#include "tests/support/status_matchers.h"

namespace tributary::rounds {
namespace {

using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::kTinyParameters;
using testing::StatusIs;

class AggregationTest : public StoredUpdatesTest {
 protected:
  absl::StatusOr<RoundResult> Aggregate(const std::vector<v1::Contribution>& rows) {
    return AggregateRound(spec_, base_, rows, blobs_.get(), nullptr);
  }
  std::vector<float> Model(const std::string& sha256) {
    return *update::DecodeParameters(*blobs_->Get(sha256), kTinyParameters);
  }
};

TEST_F(AggregationTest, WeighsUpdatesByTheirExamples) {
  ASSERT_OK_AND_ASSIGN(const RoundResult result, Aggregate({Row("a", 1.0f, 1), Row("b", 4.0f, 2)}));
  EXPECT_EQ(Model(result.new_model_sha256), std::vector<float>(kTinyParameters, 4.0f));  // 1 + (1*1 + 2*4) / 3
  EXPECT_EQ(result.examples, 3u);
  EXPECT_DOUBLE_EQ(*result.model_norm, 3.0 * std::sqrt(static_cast<double>(kTinyParameters)));
}

TEST_F(AggregationTest, OnlyAcceptedRowsCount) {
  v1::Contribution late = Row("b", 100.0f, 9);
  late.set_state("late");
  ASSERT_OK_AND_ASSIGN(const RoundResult result, Aggregate({Row("a", 0.5f, 3), late}));
  EXPECT_EQ(Model(result.new_model_sha256), std::vector<float>(kTinyParameters, 1.5f));
  EXPECT_EQ(result.examples, 3u);
}

TEST_F(AggregationTest, AnyOrderGivesTheSameModel) {
  std::vector<v1::Contribution> rows = {Row("a", 0.1f, 1), Row("b", -0.7f, 600), Row("c", 0x1p-30f, 1 << 20),
                                        Row("d", 7.3f, 7)};
  ASSERT_OK_AND_ASSIGN(const RoundResult first, Aggregate(rows));
  do {
    ASSERT_OK_AND_ASSIGN(const RoundResult again, Aggregate(rows));
    ASSERT_EQ(again.new_model_sha256, first.new_model_sha256);
  } while (std::next_permutation(rows.begin(), rows.end(),
                                 [](const auto& x, const auto& y) { return x.client() < y.client(); }));
}

TEST_F(AggregationTest, TheServersRateScalesTheStepButNotTheNorm) {
  spec_.plan.mutable_aggregate()->set_server_learning_rate(0.5);
  ASSERT_OK_AND_ASSIGN(const RoundResult result, Aggregate({Row("a", 2.0f, 1)}));
  EXPECT_EQ(Model(result.new_model_sha256), std::vector<float>(kTinyParameters, 2.0f));
  EXPECT_DOUBLE_EQ(*result.model_norm, 2.0 * std::sqrt(static_cast<double>(kTinyParameters)));
}

TEST_F(AggregationTest, MeansAreWeightedOverWhoeverMeasured) {
  v1::Contribution a = Row("a", 0, 1), b = Row("b", 0, 3), c = Row("c", 0, 100);
  a.set_train_loss(1.0);
  b.set_train_loss(2.0);
  b.set_validation_accuracy(0.5);
  b.set_validation_loss(0.25);
  ASSERT_OK_AND_ASSIGN(const RoundResult result, Aggregate({c, b, a}));
  EXPECT_DOUBLE_EQ(*result.means.train_loss, 1.75);
  EXPECT_DOUBLE_EQ(*result.means.validation_accuracy, 0.5);
  EXPECT_DOUBLE_EQ(*result.means.validation_loss, 0.25);
}

TEST_F(AggregationTest, WhatNobodyMeasuredIsAbsent) {
  ASSERT_OK_AND_ASSIGN(const RoundResult result, Aggregate({Row("a", 0, 1)}));
  EXPECT_FALSE(result.means.train_loss.has_value());
  EXPECT_FALSE(result.means.validation_loss.has_value());
  EXPECT_FALSE(result.means.validation_accuracy.has_value());
}

TEST_F(AggregationTest, NoUpdateIsNoModel) {
  EXPECT_THAT(Aggregate({}), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(AggregationTest, AFlippedByteInAnUpdateNamesTheClient) {
  const v1::Contribution row = Row("alpha", 1.0f, 1);
  {
    std::fstream file(blobs_->PathOf(row.update_sha256()), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1);
    file.put('\x5a');
  }
  EXPECT_THAT(Aggregate({row}), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("update of alpha")));
}

TEST_F(AggregationTest, AMissingUpdateIsAnError) {
  const v1::Contribution row = Row("alpha", 1.0f, 1);
  ASSERT_OK(blobs_->Remove(row.update_sha256()));
  EXPECT_THAT(Aggregate({row}), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(AggregationTest, UpdatesAddedAsTheyComeGiveTheSameModel) {
  const std::vector<v1::Contribution> rows = {Row("a", 0.1f, 1), Row("b", -0.7f, 600), Row("c", 7.3f, 7)};
  ASSERT_OK_AND_ASSIGN(const RoundResult at_once, Aggregate(rows));
  RoundSum sum(spec_, blobs_.get());
  EXPECT_THAT(sum.Add({rows[2]}, 1, nullptr), IsOkAndHolds(1u));
  EXPECT_THAT(sum.Add({rows[1], rows[2]}, 9, nullptr), IsOkAndHolds(1u));
  EXPECT_THAT(sum.Add({rows[1], rows[2]}, 9, nullptr), IsOkAndHolds(0u));
  ASSERT_OK_AND_ASSIGN(const RoundResult result, sum.Finish(base_, rows, nullptr));
  EXPECT_EQ(result.new_model_sha256, at_once.new_model_sha256);
  EXPECT_EQ(result.examples, 608u);
}

TEST_F(AggregationTest, AddsNoMoreThanItIsAskedTo) {
  const std::vector<v1::Contribution> rows = {Row("a", 0.1f, 1), Row("b", 0.2f, 1), Row("c", 0.3f, 1)};
  RoundSum sum(spec_, blobs_.get());
  EXPECT_THAT(sum.Add(rows, 2, nullptr), IsOkAndHolds(2u));
  EXPECT_THAT(sum.Add(rows, 2, nullptr), IsOkAndHolds(1u));
}

TEST_F(AggregationTest, AnUpdateThatIsNoLongerAcceptedSpoilsTheSum) {
  std::vector<v1::Contribution> rows = {Row("a", 0.1f, 1), Row("b", 0.2f, 1)};
  RoundSum sum(spec_, blobs_.get());
  ASSERT_OK(sum.Add(rows, 2, nullptr).status());
  rows[0].set_state("rejected");
  EXPECT_THAT(sum.Finish(base_, rows, nullptr), StatusIs(absl::StatusCode::kInternal));
}

TEST_F(AggregationTest, CanBeInterrupted) {
  const auto result = AggregateRound(spec_, base_, {Row("a", 1, 1)}, blobs_.get(), [] { return true; });
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace tributary::rounds
