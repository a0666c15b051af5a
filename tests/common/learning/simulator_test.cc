#include "common/learning/simulator.h"

#include <gtest/gtest.h>

#include "common/crypto/digest.h"
#include "common/learning/fedavg.h"
#include "common/learning/initial_model.h"
#include "common/learning/local_trainer.h"
#include "common/learning/selection.h"
#include "common/update/update_codec.h"
#include "tests/common/learning/toy_problem.h"
#include "tests/support/manual_clock.h"
#include "tests/support/status_matchers.h"

namespace tributary::learning {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::tributary::testing::StatusIs;

class SimulatorTest : public ::testing::Test {
 protected:
  SimulatorTest() {
    plan_.set_name("toy");
    plan_.set_rounds(3);
    plan_.set_seed(1);
    *plan_.mutable_model() = QuadrantModel();
    *plan_.mutable_train() = AdamPlan();
    plan_.mutable_round()->set_clients(3);
    plan_.mutable_round()->set_min_clients(1);
    plan_.mutable_aggregate()->set_strategy("fedavg");
    plan_.mutable_aggregate()->set_server_learning_rate(1.0);
    plan_.mutable_aggregate()->set_max_weight(1 << 20);
    plan_.mutable_evaluate()->set_every(1);
    for (uint32_t i = 0; i < train_.count; ++i) parts_[i < 20 ? 0 : 1 + i / 4 % 4].push_back(i);
  }

  SimulationInput Input() const {
    return {.plan = plan_, .train = train_, .parts = parts_, .test = &test_, .clock = &clock_};
  }

  v1::RunPlan plan_;
  const data::Dataset train_ = Quadrants(400), test_ = Quadrants(100, 2);
  std::vector<std::vector<uint32_t>> parts_ = std::vector<std::vector<uint32_t>>(5);
  const tributary::testing::ManualClock clock_;
};

TEST_F(SimulatorTest, NamesAreThoseOfThePlan) {
  EXPECT_EQ(SimulatedClientName(0), "client-0001");
  EXPECT_EQ(SimulatedClientName(9999), "client-10000");
}

TEST_F(SimulatorTest, Learns) {
  plan_.set_rounds(10);
  plan_.mutable_round()->set_clients(5);
  ASSERT_OK_AND_ASSIGN(const SimulationResult result, Simulate(Input(), nullptr));
  ASSERT_THAT(result.rounds, SizeIs(10));
  EXPECT_GT(*result.rounds.back().test_accuracy, 0.9);
  EXPECT_LT(*result.rounds.back().train_loss, *result.rounds.front().train_loss);
  EXPECT_GT(*result.rounds.back().validation_accuracy, 0.9);
}

TEST_F(SimulatorTest, EachRoundTakesTheBestRankedClients) {
  std::vector<std::string> names;
  for (size_t i = 0; i < 5; ++i) names.push_back(SimulatedClientName(i));
  ASSERT_OK_AND_ASSIGN(const SimulationResult result, Simulate(Input(), nullptr));
  for (const SimulatedRound& round : result.rounds) {
    std::vector<std::string> ranked = RankClients(1, round.round, names);
    ranked.resize(3);
    EXPECT_EQ(round.clients, ranked);
    EXPECT_THAT(round.update_sha256, SizeIs(3));
  }
}

// What a coordinator and its clients do, step by step.
TEST_F(SimulatorTest, IsTheTrainerAndTheStrategyAndNothingElse) {
  plan_.mutable_train()->set_learning_rate_decay(0.5);
  const nn::ModelDescription model = Describe(plan_.model());
  std::vector<float> global = InitialParameters(model, 1).value();
  ASSERT_OK_AND_ASSIGN(const SimulationResult result, Simulate(Input(), nullptr));
  for (const SimulatedRound& round : result.rounds) {
    FedAvg strategy(global.size());
    double loss_sum = 0;
    for (size_t c = 0; c < round.clients.size(); ++c) {
      const size_t part = static_cast<size_t>(round.clients[c].back() - '1');
      ASSERT_OK_AND_ASSIGN(const LocalResult local, TrainLocally({.model = model,
                                                                  .base = global,
                                                                  .data = train_,
                                                                  .indices = parts_[part],
                                                                  .plan = plan_.train(),
                                                                  .learning_rate = 0.01 / (1 << (round.round - 1)),
                                                                  .run_seed = 1,
                                                                  .round = round.round,
                                                                  .client_name = round.clients[c]}));
      EXPECT_EQ(round.update_sha256[c], crypto::Sha256Hex(*update::EncodeDelta("float32", local.delta)));
      ASSERT_OK(strategy.Add(local.delta, local.examples));
      loss_sum += local.train_loss * static_cast<double>(local.examples);
    }
    EXPECT_EQ(round.examples, strategy.total_weight());
    EXPECT_DOUBLE_EQ(*round.train_loss, loss_sum / static_cast<double>(strategy.total_weight()));
    global = strategy.Finish(global, 1.0).value();
    EXPECT_EQ(round.model_sha256, crypto::Sha256Hex(update::EncodeParameters(global)));
  }
  EXPECT_EQ(result.parameters, global);
}

TEST_F(SimulatorTest, ThreadsDoNotChangeTheModelAnotherSeedDoes) {
  SimulationInput input = Input();
  ASSERT_OK_AND_ASSIGN(const SimulationResult one, Simulate(input, nullptr));
  for (const int threads : {2, 7}) {
    input.threads = threads;
    ASSERT_OK_AND_ASSIGN(const SimulationResult many, Simulate(input, nullptr));
    for (size_t r = 0; r < 3; ++r) EXPECT_EQ(many.rounds[r].model_sha256, one.rounds[r].model_sha256);
  }
  plan_.set_seed(2);
  ASSERT_OK_AND_ASSIGN(const SimulationResult other, Simulate(Input(), nullptr));
  EXPECT_NE(other.rounds[0].model_sha256, one.rounds[0].model_sha256);
}

TEST_F(SimulatorTest, EachRoundIsToldAsItEnds) {
  std::vector<uint64_t> told;
  EXPECT_OK(Simulate(Input(), [&told](const SimulatedRound& round) { told.push_back(round.round); }));
  EXPECT_THAT(told, ElementsAre(1, 2, 3));
}

TEST_F(SimulatorTest, TestsEveryNthRoundAndTheLast) {
  plan_.mutable_evaluate()->set_every(2);
  ASSERT_OK_AND_ASSIGN(const SimulationResult result, Simulate(Input(), nullptr));
  EXPECT_FALSE(result.rounds[0].test_accuracy.has_value());
  EXPECT_TRUE(result.rounds[1].test_accuracy.has_value());
  EXPECT_TRUE(result.rounds[2].test_accuracy.has_value());
}

TEST_F(SimulatorTest, AStopRuleEndsTheRunEarly) {
  plan_.set_rounds(50);
  plan_.mutable_stop()->set_metric("test_accuracy");
  plan_.mutable_stop()->set_target(0.6);
  ASSERT_OK_AND_ASSIGN(const SimulationResult result, Simulate(Input(), nullptr));
  EXPECT_LT(result.rounds.size(), 50u);
  EXPECT_GE(*result.rounds.back().test_accuracy, 0.6);
}

TEST_F(SimulatorTest, AWarmStartIsWhereTheFirstRoundBegins) {
  SimulationInput input = Input();
  ASSERT_OK_AND_ASSIGN(const SimulationResult fresh, Simulate(input, nullptr));
  input.initial_parameters = fresh.parameters;
  ASSERT_OK_AND_ASSIGN(const SimulationResult warm, Simulate(input, nullptr));
  EXPECT_LT(*warm.rounds[0].train_loss, *fresh.rounds[0].train_loss);
}

TEST_F(SimulatorTest, ClientsWithoutExamplesAreNotThere) {
  parts_[0].clear();
  plan_.mutable_round()->set_clients(5);
  ASSERT_OK_AND_ASSIGN(const SimulationResult result, Simulate(Input(), nullptr));
  EXPECT_THAT(result.rounds[0].clients, SizeIs(4));
  plan_.mutable_round()->set_min_clients(5);
  EXPECT_THAT(Simulate(Input(), nullptr), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("only 4")));
}

TEST_F(SimulatorTest, WeightsAreCapped) {
  plan_.mutable_aggregate()->set_max_weight(1);
  ASSERT_OK_AND_ASSIGN(const SimulationResult capped, Simulate(Input(), nullptr));
  plan_.mutable_aggregate()->set_max_weight(1 << 20);
  ASSERT_OK_AND_ASSIGN(const SimulationResult free, Simulate(Input(), nullptr));
  EXPECT_EQ(capped.rounds[0].update_sha256, free.rounds[0].update_sha256);
  EXPECT_EQ(capped.rounds[0].examples, 3u);
  EXPECT_GT(free.rounds[0].examples, 3u);
  EXPECT_NE(capped.rounds.back().model_sha256, free.rounds.back().model_sha256);
}

TEST_F(SimulatorTest, AnErrorNamesRoundAndClient) {
  plan_.mutable_train()->set_optimizer(v1::OPTIMIZER_SGD);
  plan_.mutable_train()->set_learning_rate(1e30);
  EXPECT_THAT(Simulate(Input(), nullptr), StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("round 1, client-000")));
}

TEST_F(SimulatorTest, StopEndsIt) {
  SimulationInput input = Input();
  input.stop = [] { return true; };
  EXPECT_THAT(Simulate(input, nullptr), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace tributary::learning
