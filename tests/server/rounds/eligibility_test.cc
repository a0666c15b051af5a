#include "server/rounds/eligibility.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/learning/selection.h"
#include "tests/common/learning/tiny_plan.h"
#include "tests/support/status_matchers.h"

namespace tributary::rounds {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::SizeIs;
using testing::StatusIs;
using testing::TinyModel;
using testing::TinyPlan;

Candidate Client(const std::string& name) {
  Candidate c;
  c.client_id = "id-" + name;
  c.name = name;
  c.online = true;
  c.dataset.set_examples(100);
  c.dataset.add_shape(testing::kTinyFeatures);
  c.dataset.set_num_classes(testing::kTinyClasses);
  return c;
}

TEST(EligibilityTest, AClientWhoseDataFitIsEligibleOnlineOrNot) {
  Candidate c = Client("a");
  EXPECT_THAT(CheckEligible(TinyPlan(), TinyModel(), c), IsOk());
  c.online = false;
  EXPECT_THAT(CheckEligible(TinyPlan(), TinyModel(), c), IsOk());
}

TEST(EligibilityTest, AnotherShapeIsNot) {
  Candidate c = Client("a");
  c.dataset.set_shape(0, testing::kTinyFeatures + 1);
  EXPECT_THAT(CheckEligible(TinyPlan(), TinyModel(), c),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("shape")));
}

TEST(EligibilityTest, ImagesOfAnySizeDoNotFitPlainRows) {
  Candidate c = Client("a");
  c.dataset.clear_shape();
  EXPECT_THAT(CheckEligible(TinyPlan(), TinyModel(), c),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the data are images")));
}

TEST(EligibilityTest, MoreClassesThanTheModelIsNot) {
  Candidate c = Client("a");
  c.dataset.set_num_classes(testing::kTinyClasses + 1);
  EXPECT_THAT(CheckEligible(TinyPlan(), TinyModel(), c),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("classes")));
}

TEST(EligibilityTest, EveryLabelAskedForMustMatch) {
  v1::RunPlan plan = TinyPlan();
  (*plan.mutable_round()->mutable_where())["region"] = "eu";
  Candidate c = Client("a");
  EXPECT_THAT(CheckEligible(plan, TinyModel(), c),
              StatusIs(absl::StatusCode::kFailedPrecondition, "label region is not eu"));
  c.labels["region"] = "us";
  EXPECT_THAT(CheckEligible(plan, TinyModel(), c), StatusIs(absl::StatusCode::kFailedPrecondition));
  c.labels["region"] = "eu";
  c.labels["tier"] = "1";
  EXPECT_THAT(CheckEligible(plan, TinyModel(), c), IsOk());
}

TEST(EligibilityTest, AnOnlineClientWithoutExamplesIsNot) {
  Candidate c = Client("a");
  c.dataset.set_examples(0);
  EXPECT_THAT(CheckEligible(TinyPlan(), TinyModel(), c), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(EligibilityTest, WhoNeverSaidHelloIsUnknown) {
  Candidate c;
  c.client_id = "id-a";
  c.name = "a";
  const RankedClients ranked = RankEligible(TinyPlan(), TinyModel(), 1, {c});
  ASSERT_THAT(ranked.ranked, SizeIs(1));
  EXPECT_FALSE(ranked.ranked[0].known);
  EXPECT_FALSE(ranked.ranked[0].online);
}

TEST(EligibilityTest, RankIsTheSharedOneAndIgnoresTheOrderOfTheList) {
  std::vector<Candidate> clients;
  std::vector<std::string> names;
  for (const char* name : {"alpha", "beta", "gamma", "delta", "epsilon"}) {
    clients.push_back(Client(name));
    names.push_back(name);
  }
  const std::vector<std::string> expected = learning::RankClients(TinyPlan().seed(), 4, names);
  for (int turn = 0; turn < 2; ++turn) {
    std::vector<std::string> got;
    for (const SelectionCandidate& c : RankEligible(TinyPlan(), TinyModel(), 4, clients).ranked) got.push_back(c.name);
    EXPECT_EQ(got, expected);
    std::reverse(clients.begin(), clients.end());
  }
}

TEST(EligibilityTest, TheShortageNamesTheFirstReason) {
  Candidate bad = Client("bad");
  bad.dataset.set_shape(0, 1);
  const RankedClients ranked = RankEligible(TinyPlan(), TinyModel(), 1, {bad, Client("good")});
  EXPECT_THAT(ranked.ranked, SizeIs(1));
  EXPECT_THAT(ranked.shortage, HasSubstr("2 enrolled, 1 not eligible, e.g. bad: "));
}

}  // namespace
}  // namespace tributary::rounds
