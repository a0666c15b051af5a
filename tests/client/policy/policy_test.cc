#include "client/policy/policy.h"

#include <gtest/gtest.h>

namespace tributary::policy {
namespace {

TaskTerms Usual() { return {"digits", "keras-cnn", 1, 3, "run"}; }

struct Case {
  const char* name;
  void (*change)(TaskTerms*, Policy*, Counters*);
  const char* setting;  // that the reason names; null: accepted
};

class DecideTest : public testing::TestWithParam<Case> {};

TEST_P(DecideTest, AcceptsOrNamesTheSetting) {
  TaskTerms terms = Usual();
  Policy policy;
  Counters counters;
  GetParam().change(&terms, &policy, &counters);
  const Decision decision = Decide(terms, policy, counters);
  EXPECT_EQ(GetParam().setting == nullptr, decision.accepted) << decision.reason;
  if (GetParam().setting == nullptr) return;
  EXPECT_EQ("policy", decision.code);
  EXPECT_NE(std::string::npos, decision.reason.find(GetParam().setting)) << decision.reason;
}

INSTANTIATE_TEST_SUITE_P(
    All, DecideTest,
    testing::Values(
        Case{"DefaultsTakeAUsualTask", [](TaskTerms*, Policy*, Counters*) {}, nullptr},
        Case{"RunOutsideTheList",
             [](TaskTerms*, Policy* p, Counters*) {
               p->runs = {"cats-*", "dogs"};
             },
             "`runs`"},
        Case{"RunInsideAGlob",
             [](TaskTerms*, Policy* p, Counters*) {
               p->runs = {"cats", "dig*"};
             },
             nullptr},
        Case{"NoRunAtAll", [](TaskTerms*, Policy* p, Counters*) { p->runs = {}; }, "`runs`"},
        Case{"AGlobIsNotAPrefix", [](TaskTerms*, Policy* p, Counters*) { p->runs = {"dig"}; }, "`runs`"},
        Case{"ModelOutsideTheList", [](TaskTerms*, Policy* p, Counters*) { p->models = {"cat-cnn"}; }, "`models`"},
        Case{"WrittenOutModelIsCustom",
             [](TaskTerms* terms, Policy* p, Counters*) { terms->preset = "", p->models = {"custom"}; }, nullptr},
        Case{"WrittenOutModelIsNoPreset",
             [](TaskTerms* terms, Policy* p, Counters*) { terms->preset = "", p->models = {"*-cnn"}; }, "`models`"},
        Case{"OtherLayersUnderAPresetsNameAreCustom",
             [](TaskTerms* terms, Policy* p, Counters*) {
               terms->preset = "", terms->claimed_preset = "keras-cnn", p->models = {"keras-cnn"};
             },
             "calls itself keras-cnn"},
        Case{"OtherLayersUnderAPresetsNameAreTakenWhereCustomIs",
             [](TaskTerms* terms, Policy* p, Counters*) {
               terms->preset = "", terms->claimed_preset = "keras-cnn", p->models = {"keras-cnn", "custom"};
             },
             nullptr},
        Case{"EpochsAtTheLimit", [](TaskTerms* terms, Policy* p, Counters*) { terms->epochs = p->max_epochs = 5; },
             nullptr},
        Case{"OneEpochTooMany", [](TaskTerms* terms, Policy* p, Counters*) { terms->epochs = 6, p->max_epochs = 5; },
             "`max_epochs`"},
        Case{"CohortAtTheLimit", [](TaskTerms*, Policy* p, Counters*) { p->min_cohort = 3; }, nullptr},
        Case{"CohortTooSmall", [](TaskTerms*, Policy* p, Counters*) { p->min_cohort = 4; }, "`min_cohort`"},
        Case{"RetentionAtTheLimit", [](TaskTerms*, Policy* p, Counters*) { p->longest_retention = Retention::kRun; },
             nullptr},
        Case{"RetentionTooLong", [](TaskTerms*, Policy* p, Counters*) { p->longest_retention = Retention::kRound; },
             "`longest_retention`"},
        Case{"UnknownRetentionIsTooLong", [](TaskTerms* terms, Policy*, Counters*) { terms->retention = "century"; },
             "`longest_retention`"},
        Case{"LastRoundOfTheDay",
             [](TaskTerms*, Policy* p, Counters* c) { p->rounds_a_day = 3, c->accepted_last_day = 2; }, nullptr},
        Case{"DayIsUsedUp", [](TaskTerms*, Policy* p, Counters* c) { p->rounds_a_day = 3, c->accepted_last_day = 3; },
             "`rounds_a_day`"},
        Case{"ZeroRoundsADayMeansNoLimit", [](TaskTerms*, Policy*, Counters* c) { c->accepted_last_day = 1000000; },
             nullptr}),
    [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace tributary::policy
