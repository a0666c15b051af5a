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

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::tributary::testing::StatusIs;

struct Ran {
  std::vector<SimulatedRound> rounds;
  std::vector<float> parameters;
};

absl::StatusOr<Ran> RunAll(const SimulationInput& input) {
  Ran ran;
  const RoundObserver keep = [&ran](const SimulatedRound& round, std::span<const float> parameters) {
    ran.rounds.push_back(round);
    ran.parameters.assign(parameters.begin(), parameters.end());
    return absl::OkStatus();
  };
  TRB_ASSIGN_OR_RETURN(const std::vector<float> last, Simulate(input, keep));
  EXPECT_EQ(last, ran.parameters);
  return ran;
}

std::vector<std::string> Digests(const Ran& ran) {
  std::vector<std::string> digests;
  for (const SimulatedRound& round : ran.rounds) digests.push_back(round.model_sha256);
  return digests;
}

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
  ASSERT_OK_AND_ASSIGN(const Ran result, RunAll(Input()));
  ASSERT_THAT(result.rounds, SizeIs(10));
  EXPECT_GT(*result.rounds.back().test_accuracy, 0.9);
  EXPECT_LT(*result.rounds.back().train_loss, *result.rounds.front().train_loss);
  EXPECT_GT(*result.rounds.back().validation_accuracy, 0.9);
}

TEST_F(SimulatorTest, EachRoundTakesTheBestRankedClients) {
  std::vector<std::string> names;
  for (size_t i = 0; i < 5; ++i) names.push_back(SimulatedClientName(i));
  ASSERT_OK_AND_ASSIGN(const Ran result, RunAll(Input()));
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
  ASSERT_OK_AND_ASSIGN(const Ran result, RunAll(Input()));
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
  ASSERT_OK_AND_ASSIGN(const Ran one, RunAll(input));
  for (const int threads : {2, 7}) {
    input.threads = threads;
    ASSERT_OK_AND_ASSIGN(const Ran many, RunAll(input));
    for (size_t r = 0; r < 3; ++r) EXPECT_EQ(many.rounds[r].model_sha256, one.rounds[r].model_sha256);
  }
  plan_.set_seed(2);
  ASSERT_OK_AND_ASSIGN(const Ran other, RunAll(Input()));
  EXPECT_NE(other.rounds[0].model_sha256, one.rounds[0].model_sha256);
}

TEST_F(SimulatorTest, EachRoundIsToldAsItEndsWithItsModel) {
  std::vector<uint64_t> told;
  EXPECT_OK(Simulate(Input(), [&told](const SimulatedRound& round, std::span<const float> parameters) {
    EXPECT_EQ(round.model_sha256, crypto::Sha256Hex(update::EncodeParameters(parameters)));
    EXPECT_EQ(round.last, round.round == 3);
    told.push_back(round.round);
    return absl::OkStatus();
  }));
  EXPECT_THAT(told, ElementsAre(1, 2, 3));
}

TEST_F(SimulatorTest, AnErrorOfTheObserverEndsIt) {
  const auto full = [](const SimulatedRound&, std::span<const float>) { return absl::ResourceExhaustedError("full"); };
  EXPECT_THAT(Simulate(Input(), full), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(SimulatorTest, TestsEveryNthRoundAndTheLast) {
  plan_.mutable_evaluate()->set_every(2);
  ASSERT_OK_AND_ASSIGN(const Ran result, RunAll(Input()));
  EXPECT_FALSE(result.rounds[0].test_accuracy.has_value());
  EXPECT_TRUE(result.rounds[1].test_accuracy.has_value());
  EXPECT_TRUE(result.rounds[2].test_accuracy.has_value());
}

TEST_F(SimulatorTest, AStopRuleEndsTheRunEarly) {
  plan_.set_rounds(50);
  plan_.mutable_stop()->set_metric("test_accuracy");
  plan_.mutable_stop()->set_target(0.6);
  ASSERT_OK_AND_ASSIGN(const Ran result, RunAll(Input()));
  EXPECT_LT(result.rounds.size(), 50u);
  EXPECT_GE(*result.rounds.back().test_accuracy, 0.6);
}

TEST_F(SimulatorTest, AWarmStartIsWhereTheFirstRoundBegins) {
  SimulationInput input = Input();
  ASSERT_OK_AND_ASSIGN(const Ran fresh, RunAll(input));
  input.initial_parameters = fresh.parameters;
  ASSERT_OK_AND_ASSIGN(const Ran warm, RunAll(input));
  EXPECT_LT(*warm.rounds[0].train_loss, *fresh.rounds[0].train_loss);
}

TEST_F(SimulatorTest, ClientsWithoutExamplesAreNotThere) {
  parts_[0].clear();
  plan_.mutable_round()->set_clients(5);
  ASSERT_OK_AND_ASSIGN(const Ran result, RunAll(Input()));
  EXPECT_THAT(result.rounds[0].clients, SizeIs(4));
  plan_.mutable_round()->set_min_clients(5);
  EXPECT_THAT(RunAll(Input()), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("only 4")));
}

TEST_F(SimulatorTest, WeightsAreCapped) {
  plan_.mutable_aggregate()->set_max_weight(1);
  ASSERT_OK_AND_ASSIGN(const Ran capped, RunAll(Input()));
  plan_.mutable_aggregate()->set_max_weight(1 << 20);
  ASSERT_OK_AND_ASSIGN(const Ran free, RunAll(Input()));
  EXPECT_EQ(capped.rounds[0].update_sha256, free.rounds[0].update_sha256);
  EXPECT_EQ(capped.rounds[0].examples, 3u);
  EXPECT_GT(free.rounds[0].examples, 3u);
  EXPECT_NE(capped.rounds.back().model_sha256, free.rounds.back().model_sha256);
}

TEST_F(SimulatorTest, AnErrorNamesRoundAndClient) {
  plan_.mutable_train()->set_optimizer(v1::OPTIMIZER_SGD);
  plan_.mutable_train()->set_learning_rate(1e30);
  EXPECT_THAT(RunAll(Input()), StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("round 1, client-000")));
}

TEST_F(SimulatorTest, APrecisionThatTheTrainerDoesNotKnowIsItsError) {
  plan_.mutable_train()->set_precision("float31");
  EXPECT_THAT(RunAll(Input()), StatusIs(absl::StatusCode::kInvalidArgument,
                                        AllOf(HasSubstr("round 1, client-000"), HasSubstr("float31"))));
}

TEST_F(SimulatorTest, AWarmStartOfAnotherModelIsRefused) {
  SimulationInput input = Input();
  input.initial_parameters.assign(7, 0.0f);
  EXPECT_THAT(RunAll(input), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 7 parameters")));
}

TEST_F(SimulatorTest, ARoundOfFewerThanItNeedsIsRefused) {
  for (const uint32_t clients : {0u, 2u}) {
    plan_.mutable_round()->set_clients(clients);
    plan_.mutable_round()->set_min_clients(clients == 0 ? 0 : 3);
    EXPECT_THAT(RunAll(Input()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("round.clients")));
  }
}

// One client holds a single example, which the validation split takes.
class AClientThatCannotTrainTest : public SimulatorTest {
 protected:
  AClientThatCannotTrainTest() {
    parts_[2].resize(1);
    plan_.mutable_round()->set_clients(5);
    plan_.mutable_round()->set_over_select(1);
  }
  static constexpr char kName[] = "client-0003";
};

TEST_F(AClientThatCannotTrainTest, IsLeftOutAsInARealRun) {
  ASSERT_OK_AND_ASSIGN(const Ran ran, RunAll(Input()));
  for (const SimulatedRound& round : ran.rounds) {
    EXPECT_THAT(round.clients, SizeIs(4));
    ASSERT_THAT(round.failed, SizeIs(1));
    EXPECT_EQ(round.failed[0].first, kName);
    EXPECT_THAT(round.failed[0].second, HasSubstr("leaves none of 1"));
  }
  parts_[2].clear();
  ASSERT_OK_AND_ASSIGN(const Ran without, RunAll(Input()));
  EXPECT_EQ(Digests(ran), Digests(without));
}

TEST_F(AClientThatCannotTrainTest, IsReplacedByASpareOfOverSelect) {
  plan_.mutable_round()->set_clients(4);
  plan_.set_rounds(8);
  ASSERT_OK_AND_ASSIGN(const Ran strict, RunAll(Input()));
  plan_.mutable_round()->set_over_select(1.25);
  ASSERT_OK_AND_ASSIGN(const Ran spare, RunAll(Input()));
  size_t short_rounds = 0;
  for (size_t r = 0; r < 8; ++r) {
    short_rounds += strict.rounds[r].clients.size() == 3;
    EXPECT_THAT(spare.rounds[r].clients, SizeIs(4));
  }
  EXPECT_GT(short_rounds, 0u) << "the client was never chosen: the test shows nothing";
}

TEST_F(AClientThatCannotTrainTest, AbandonsARoundThatNeedsItAndTheRunAfterTooManyOfThem) {
  plan_.mutable_round()->set_min_clients(5);
  plan_.mutable_round()->set_max_failed_rounds(3);
  std::vector<uint64_t> abandoned;
  const auto note = [&](const SimulatedRound& round, std::span<const float>) {
    EXPECT_TRUE(round.abandoned);
    EXPECT_THAT(round.clients, IsEmpty());
    EXPECT_EQ(round.committed, 0u);
    abandoned.push_back(round.round);
    return absl::OkStatus();
  };
  EXPECT_THAT(Simulate(Input(), note),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("3 rounds in a row"), HasSubstr("4 of at least 5"), HasSubstr(kName))));
  EXPECT_THAT(abandoned, ElementsAre(1, 2));
}

// A round that is abandoned uses up its number, but neither a round of the plan nor a step of the rate's decay.
TEST_F(AClientThatCannotTrainTest, AnAbandonedRoundDoesNotCount) {
  plan_.mutable_round()->set_clients(2);
  plan_.mutable_round()->set_min_clients(2);
  plan_.mutable_round()->set_max_failed_rounds(100);
  plan_.set_rounds(6);
  ASSERT_OK_AND_ASSIGN(const Ran ran, RunAll(Input()));
  uint64_t committed = 0, abandoned = 0;
  for (const SimulatedRound& round : ran.rounds) {
    ++(round.abandoned ? abandoned : committed);
    EXPECT_EQ(round.committed, committed);
  }
  EXPECT_EQ(committed, 6u);
  EXPECT_GT(abandoned, 0u);
  EXPECT_EQ(ran.rounds.back().round, 6 + abandoned);
}

TEST_F(SimulatorTest, GoesOnAfterAnyRoundAsIfItHadNotStopped) {
  plan_.mutable_train()->set_learning_rate_decay(0.5);
  ASSERT_OK_AND_ASSIGN(const Ran whole, RunAll(Input()));
  plan_.set_rounds(1);
  ASSERT_OK_AND_ASSIGN(const Ran begun, RunAll(Input()));
  plan_.set_rounds(3);
  SimulationInput input = Input();
  input.initial_parameters = begun.parameters;
  input.rounds_before = input.committed_before = 1;
  ASSERT_OK_AND_ASSIGN(const Ran rest, RunAll(input));
  ASSERT_THAT(rest.rounds, SizeIs(2));
  EXPECT_EQ(rest.rounds[0].round, 2u);
  EXPECT_EQ(Digests(rest), (std::vector{whole.rounds[1].model_sha256, whole.rounds[2].model_sha256}));
}

TEST_F(SimulatorTest, LearnsNumbers) {
  const data::Dataset line = Line(300);
  *plan_.mutable_model() = LineModel();
  plan_.set_rounds(20);
  plan_.mutable_train()->set_learning_rate(0.05);
  for (auto& part : parts_) {
    while (!part.empty() && part.back() >= line.count) part.pop_back();
  }
  const SimulationInput input{.plan = plan_, .train = line, .parts = parts_, .test = &line, .clock = &clock_};
  ASSERT_OK_AND_ASSIGN(const Ran ran, RunAll(input));
  EXPECT_LT(*ran.rounds.back().test_loss, 0.01);
  EXPECT_FALSE(ran.rounds.back().test_accuracy.has_value());
  EXPECT_FALSE(ran.rounds.back().validation_accuracy.has_value());
  EXPECT_TRUE(ran.rounds.back().validation_loss.has_value());
}

TEST_F(SimulatorTest, StopEndsIt) {
  SimulationInput input = Input();
  input.stop = [] { return true; };
  EXPECT_THAT(RunAll(input), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace tributary::learning
