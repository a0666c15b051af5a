#include "common/learning/plan_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "tests/common/learning/tiny_plan.h"
#include "tests/support/status_matchers.h"

namespace tributary::learning {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;
using testing::TinyPlan;

TEST(PlanCheckTest, AGoodPlanHasNoFault) {
  EXPECT_TRUE(CheckPlan(TinyPlan()).empty());
  EXPECT_OK(ValidatePlan(TinyPlan()));
}

struct BadPlan {
  std::string name;
  std::string field;  // of the one fault
  std::function<void(v1::RunPlan*)> spoil;
};

class PlanCheckFaultTest : public ::testing::TestWithParam<BadPlan> {};

TEST_P(PlanCheckFaultTest, NamesTheField) {
  v1::RunPlan plan = TinyPlan();
  GetParam().spoil(&plan);
  const std::vector<PlanFault> faults = CheckPlan(plan);
  ASSERT_EQ(faults.size(), 1u) << ValidatePlan(plan);
  EXPECT_EQ(faults[0].field, GetParam().field) << faults[0].what;
  EXPECT_FALSE(faults[0].what.empty());
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
using Plan = v1::RunPlan;

INSTANTIATE_TEST_SUITE_P(
    All, PlanCheckFaultTest,
    ::testing::Values(
        BadPlan{"name", "name", [](Plan* p) { p->set_name("../x"); }},
        BadPlan{"rounds_0", "rounds", [](Plan* p) { p->set_rounds(0); }},
        BadPlan{"no_model", "model", [](Plan* p) { p->clear_model(); }},
        BadPlan{"epochs_0", "train.epochs", [](Plan* p) { p->mutable_train()->set_epochs(0); }},
        BadPlan{"epochs_1001", "train.epochs", [](Plan* p) { p->mutable_train()->set_epochs(1001); }},
        BadPlan{"no_optimizer", "train.optimizer", [](Plan* p) { p->mutable_train()->clear_optimizer(); }},
        BadPlan{"rate_0", "train.learning_rate", [](Plan* p) { p->mutable_train()->set_learning_rate(0); }},
        BadPlan{"rate_nan", "train.learning_rate", [](Plan* p) { p->mutable_train()->set_learning_rate(kNan); }},
        BadPlan{"rate_inf", "train.learning_rate", [](Plan* p) { p->mutable_train()->set_learning_rate(kInf); }},
        BadPlan{"decay", "train.learning_rate_decay", [](Plan* p) { p->mutable_train()->set_learning_rate_decay(-1); }},
        BadPlan{"split_1", "train.validation_split", [](Plan* p) { p->mutable_train()->set_validation_split(1); }},
        BadPlan{"split_nan", "train.validation_split", [](Plan* p) { p->mutable_train()->set_validation_split(kNan); }},
        BadPlan{"weight_decay", "train.weight_decay", [](Plan* p) { p->mutable_train()->set_weight_decay(-0.1); }},
        BadPlan{"clip", "train.clip_norm", [](Plan* p) { p->mutable_train()->set_clip_norm(kInf); }},
        BadPlan{"precision", "train.precision", [](Plan* p) { p->mutable_train()->set_precision("float16"); }},
        BadPlan{"momentum", "train.momentum", [](Plan* p) { p->mutable_train()->set_momentum(0.5); }},
        BadPlan{"min_0", "round.min_clients", [](Plan* p) { p->mutable_round()->set_min_clients(0); }},
        BadPlan{"min_over", "round.min_clients", [](Plan* p) { p->mutable_round()->set_min_clients(4); }},
        BadPlan{"over_select", "round.over_select", [](Plan* p) { p->mutable_round()->set_over_select(0.9); }},
        BadPlan{"over_select_nan", "round.over_select", [](Plan* p) { p->mutable_round()->set_over_select(kNan); }},
        BadPlan{"deadline", "round.deadline", [](Plan* p) { p->mutable_round()->set_deadline_ms(0); }},
        BadPlan{"forever", "round.deadline", [](Plan* p) { p->mutable_round()->set_deadline_ms(uint64_t{1} << 60); }},
        BadPlan{"max_failed", "round.max_failed_rounds", [](Plan* p) { p->mutable_round()->set_max_failed_rounds(0); }},
        BadPlan{"where", "round.where", [](Plan* p) { (*p->mutable_round()->mutable_where())["Bad Key"] = "x"; }},
        BadPlan{"strategy", "aggregate.strategy", [](Plan* p) { p->mutable_aggregate()->set_strategy("median"); }},
        BadPlan{"server_rate", "aggregate.server_learning_rate",
                [](Plan* p) { p->mutable_aggregate()->set_server_learning_rate(0); }},
        BadPlan{"max_weight", "aggregate.max_weight", [](Plan* p) { p->mutable_aggregate()->set_max_weight(0); }},
        BadPlan{"format", "evaluate.format", [](Plan* p) { p->mutable_evaluate()->set_format("parquet"); }},
        BadPlan{"stop_metric", "stop.metric", [](Plan* p) { p->mutable_stop()->set_metric("f1"); }},
        BadPlan{"stop_unmeasured", "stop.metric", [](Plan* p) { p->mutable_stop()->set_metric("test_accuracy"); }},
        BadPlan{"stop_unvalidated", "stop.metric", [](Plan* p) { p->mutable_stop()->set_metric("validation_loss"); }},
        BadPlan{"keep", "keep_updates", [](Plan* p) { p->set_keep_updates("week"); }},
        BadPlan{"initial", "initial_model_sha256", [](Plan* p) { p->set_initial_model_sha256("abc"); }},
        BadPlan{"warm", "model.from", [](Plan* p) { p->set_warm_start("run-without-round"); }}),
    [](const auto& tested) { return tested.param.name; });

TEST(PlanCheckTest, AllFaultsAreListedAtOnce) {
  v1::RunPlan plan = TinyPlan();
  plan.set_rounds(0);
  plan.mutable_round()->set_min_clients(9);
  plan.mutable_model()->mutable_layers(0)->mutable_dense()->set_units(0);
  EXPECT_THAT(ValidatePlan(plan),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::AllOf(HasSubstr("rounds is 0"), HasSubstr("more than round.clients, 3"),
                                        HasSubstr("model "))));
}

TEST(PlanCheckTest, UnsetDecayAndMomentumMeanTheirDefaults) {
  v1::RunPlan plan = TinyPlan();
  plan.mutable_train()->clear_learning_rate_decay();
  plan.mutable_train()->clear_momentum();
  EXPECT_OK(ValidatePlan(plan));
}

TEST(PlanCheckTest, AnEmptyPlanNamesEverythingThatIsMissing) { EXPECT_GE(CheckPlan(v1::RunPlan()).size(), 10u); }

}  // namespace
}  // namespace tributary::learning
