#include "common/learning/local_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <thread>

#include "common/learning/evaluation.h"
#include "common/learning/initial_model.h"
#include "common/nn/engine.h"
#include "tests/common/learning/toy_problem.h"
#include "tests/support/manual_clock.h"
#include "tests/support/status_matchers.h"

namespace tributary::learning {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::tributary::testing::StatusIs;

class LocalTrainerTest : public ::testing::Test {
 protected:
  LocalTrainerTest() : model_(Describe(QuadrantModel())), base_(InitialParameters(model_, 1).value()) {}

  LocalTask Task() const {
    return {.model = model_,
            .base = base_,
            .data = data_,
            .plan = plan_,
            .learning_rate = plan_.learning_rate(),
            .run_seed = 1,
            .round = 1,
            .client_name = "alpha"};
  }

  const nn::ModelDescription model_;
  const std::vector<float> base_;
  data::Dataset data_ = Quadrants(203);
  v1::TrainPlan plan_ = AdamPlan();
};

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Whatever a trainer did before, also what failed half-way, leaves no trace in what it does next.
TEST_F(LocalTrainerTest, OneTrainerForManyTasksIsAsGoodAsANewOneForEach) {
  LocalTrainer kept(model_);
  EXPECT_THAT(kept.parameters(), IsEmpty());
  v1::TrainPlan diverging = SgdPlan(1e30, 1, 16), whole = SgdPlan(0.1, 2, 0);
  LocalTask tasks[] = {Task(), Task(), Task(), Task(), Task()};
  tasks[1].client_name = "beta";
  LocalTask bad{.model = model_, .base = base_, .data = data_, .plan = diverging, .learning_rate = 1e30};
  LocalTask all{.model = model_, .base = base_, .data = data_, .plan = whole, .learning_rate = 0.1};
  tasks[3].threads = 2;
  for (const LocalTask* task : {&tasks[0], &tasks[1], &bad, &tasks[2], &all, &tasks[3], &tasks[4]}) {
    const absl::StatusOr<LocalResult> got = kept.Train(*task), want = TrainLocally(*task);
    ASSERT_EQ(got.status(), want.status());
    if (!got.ok()) continue;
    EXPECT_TRUE(SameBits(got->delta, want->delta));
    EXPECT_EQ(got->train_loss, want->train_loss);
    EXPECT_EQ(got->validation_loss, want->validation_loss);
    for (size_t i = 0; i < base_.size(); ++i) ASSERT_EQ(kept.parameters()[i] - base_[i], got->delta[i]);
  }
}

TEST_F(LocalTrainerTest, RecordsTheBatchesAndLossesOfItsSteps) {
  LocalTask task = Task();
  std::vector<uint32_t> seen;
  double loss = 0;
  uint64_t steps = 0;
  task.record = [&](const StepRecord& r) {
    EXPECT_EQ(r.step, ++steps);
    EXPECT_LE(r.indices.size(), 16u);
    seen.insert(seen.end(), r.indices.begin(), r.indices.end());
    loss += r.loss * static_cast<double>(r.indices.size());
  };
  ASSERT_OK_AND_ASSIGN(const LocalResult result, TrainLocally(task));
  EXPECT_EQ(steps, result.steps);
  ASSERT_EQ(seen.size(), 3 * 182u);
  EXPECT_NEAR(loss / 546.0, result.train_loss, 1e-12);
  for (size_t epoch = 0; epoch < 3; ++epoch) {  // each visits every training example once
    std::sort(seen.begin() + epoch * 182, seen.begin() + (epoch + 1) * 182);
    for (uint32_t i = 0; i < 182; ++i) ASSERT_EQ(seen[epoch * 182 + i], i);
  }
}

TEST_F(LocalTrainerTest, LearnsAndReportsWhatItDid) {
  plan_.set_epochs(20);
  ASSERT_OK_AND_ASSIGN(const LocalResult r, TrainLocally(Task()));
  EXPECT_EQ(r.examples, 182u);  // floor(203 * 0.9)
  EXPECT_EQ(r.validation_examples, 21u);
  EXPECT_EQ(r.steps, 20u * 12u);
  EXPECT_GT(*r.validation_accuracy, 0.9);
  EXPECT_LT(*r.validation_loss, 0.5);
  EXPECT_GT(r.train_loss, 0);
  EXPECT_GT(r.update_norm, 0);
  EXPECT_THAT(r.warnings, IsEmpty());
}

TEST_F(LocalTrainerTest, DeltaIsTheSameToTheBitForAnyNumberOfThreads) {
  LocalTask task = Task();
  ASSERT_OK_AND_ASSIGN(const LocalResult one, TrainLocally(task));
  for (const int threads : {2, 7}) {
    task.threads = threads;
    ASSERT_OK_AND_ASSIGN(const LocalResult many, TrainLocally(task));
    EXPECT_TRUE(SameBits(one.delta, many.delta)) << threads;
    EXPECT_EQ(one.train_loss, many.train_loss);
    EXPECT_EQ(one.validation_loss, many.validation_loss);
  }
}

TEST_F(LocalTrainerTest, SeedRoundAndNameEachGiveAnotherDelta) {
  ASSERT_OK_AND_ASSIGN(const LocalResult first, TrainLocally(Task()));
  LocalTask seed = Task(), round = Task(), name = Task();
  seed.run_seed = 2;
  round.round = 2;
  name.client_name = "beta";
  for (const LocalTask* other : {&seed, &round, &name}) {
    ASSERT_OK_AND_ASSIGN(const LocalResult r, TrainLocally(*other));
    EXPECT_FALSE(SameBits(first.delta, r.delta));
  }
}

TEST_F(LocalTrainerTest, IndicesChooseTheExamples) {
  std::vector<uint32_t> tail(100);
  std::iota(tail.begin(), tail.end(), 103u);
  LocalTask chosen = Task();
  chosen.indices = tail;
  ASSERT_OK_AND_ASSIGN(const LocalResult by_index, TrainLocally(chosen));
  const data::Dataset part = data_.Select(tail);
  const LocalTask copied{.model = model_,
                         .base = base_,
                         .data = part,
                         .plan = plan_,
                         .learning_rate = plan_.learning_rate(),
                         .run_seed = 1,
                         .round = 1,
                         .client_name = "alpha"};
  ASSERT_OK_AND_ASSIGN(const LocalResult by_copy, TrainLocally(copied));
  EXPECT_EQ(by_index.examples, 90u);
  EXPECT_TRUE(SameBits(by_index.delta, by_copy.delta));
}

TEST_F(LocalTrainerTest, ValidationIsOfTheLocalModelOnTheLastFraction) {
  ASSERT_OK_AND_ASSIGN(const LocalResult r, TrainLocally(Task()));
  std::vector<float> local = base_;
  for (size_t i = 0; i < local.size(); ++i) local[i] += r.delta[i];
  std::vector<uint32_t> tail(21);
  std::iota(tail.begin(), tail.end(), 182u);
  ASSERT_OK_AND_ASSIGN(const Evaluation e, Evaluate(model_, local, data_, {.indices = tail}));
  EXPECT_NEAR(e.loss, *r.validation_loss, 1e-5);
  EXPECT_EQ(e.accuracy, r.validation_accuracy);
}

TEST_F(LocalTrainerTest, NoSplitNoValidation) {
  plan_.set_validation_split(0);
  ASSERT_OK_AND_ASSIGN(const LocalResult r, TrainLocally(Task()));
  EXPECT_EQ(r.examples, 203u);
  EXPECT_EQ(r.validation_examples, 0u);
  EXPECT_EQ(r.validation_loss, std::nullopt);
  EXPECT_EQ(r.validation_accuracy, std::nullopt);
}

TEST_F(LocalTrainerTest, NothingLeftToTrainOnIsAnError) {
  data_ = Quadrants(1);
  plan_.set_validation_split(0.5);
  EXPECT_THAT(TrainLocally(Task()), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("leaves none of 1")));
}

TEST_F(LocalTrainerTest, AValidationPartThatLacksClassesIsWarnedOf) {
  for (size_t i = 0; i < data_.count; ++i) data_.labels[i] = i < 150 ? static_cast<int32_t>(i % 2) : 2;
  ASSERT_OK_AND_ASSIGN(const LocalResult r, TrainLocally(Task()));
  EXPECT_THAT(r.warnings, ElementsAre("the validation part (the last 21 examples) lacks the labels 0, 1"));
}

TEST_F(LocalTrainerTest, ALossThatIsNotFiniteStopsWithTheStep) {
  plan_.set_optimizer(v1::OPTIMIZER_SGD);
  LocalTask task = Task();
  task.learning_rate = 1e30;
  EXPECT_THAT(TrainLocally(task), StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("not finite at step ")));
  std::vector<float> broken = base_;
  broken[0] = std::numeric_limits<float>::quiet_NaN();
  LocalTask from_nan{.model = model_, .base = broken, .data = data_, .plan = plan_, .learning_rate = 0.1};
  EXPECT_THAT(TrainLocally(from_nan), StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("at step 1 of 36")));
}

TEST_F(LocalTrainerTest, ADeltaThatNoCoordinatorTakesIsAnError) {
  plan_ = SgdPlan(1, 1, 203);
  LocalTask task = Task();
  task.learning_rate = 1e9;
  EXPECT_THAT(TrainLocally(task), StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("moved by 2^20 or more")));
}

TEST_F(LocalTrainerTest, StopEndsItBeforeTheNextStep) {
  uint64_t steps = 0;
  LocalTask task = Task();
  task.progress = [&steps](uint64_t done, uint64_t total) {
    EXPECT_EQ(total, 36u);
    EXPECT_EQ(done, ++steps);
  };
  task.stop = [&steps] { return steps == 5; };
  EXPECT_THAT(TrainLocally(task), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(steps, 5u);
}

TEST_F(LocalTrainerTest, StopIsPolledInsideALargeBatch) {
  data_ = Quadrants(1000);
  plan_.set_batch_size(0);
  plan_.set_validation_split(0);
  int polls = 0;
  LocalTask task = Task();
  task.stop = [&polls] { return ++polls == 4; };
  EXPECT_THAT(TrainLocally(task), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(polls, 4);
}

TEST_F(LocalTrainerTest, TimeIsTheGivenClocks) {
  tributary::testing::ManualClock clock;
  LocalTask task = Task();
  task.clock = &clock;
  task.progress = [&clock](uint64_t, uint64_t) { clock.Advance(absl::Milliseconds(10)); };
  ASSERT_OK_AND_ASSIGN(const LocalResult r, TrainLocally(task));
  EXPECT_EQ(r.train_ms, 360);
}

TEST_F(LocalTrainerTest, ManyMayTrainAtOnce) {
  ASSERT_OK_AND_ASSIGN(const LocalResult alone, TrainLocally(Task()));
  std::vector<absl::StatusOr<LocalResult>> results(3, absl::UnknownError(""));
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([this, &result] { result = TrainLocally(Task()); });
  for (std::thread& t : threads) t.join();
  for (const auto& result : results) {
    ASSERT_OK(result);
    EXPECT_TRUE(SameBits(result->delta, alone.delta));
  }
}

// In arrays of the model's size: base, local model, Adam's two or the delta; gradients where steps are not one pass.
TEST_F(LocalTrainerTest, MemoryIsFourArraysWithAdamAndThreeWithSgd) {
  const nn::ModelDescription model = Describe(nn::ModelDescription::Preset("keras-cnn").value());
  const double array = 4.0 * static_cast<double>(model.parameter_count());
  const auto arrays = [&](v1::TrainPlan plan) { return TrainingBytes(model, plan, 1).value() / array; };
  v1::TrainPlan adam = AdamPlan(), sgd = SgdPlan(0.1, 1, 10), clipped = SgdPlan(0.1, 1, 10), whole = SgdPlan(0.1, 1, 0);
  adam.set_batch_size(1), sgd.set_batch_size(1), clipped.set_batch_size(1);
  clipped.set_clip_norm(1);
  EXPECT_NEAR(4, arrays(adam), 0.3);  // and one image's activations
  EXPECT_NEAR(3, arrays(sgd), 0.3);
  EXPECT_NEAR(4, arrays(clipped), 0.3);
  EXPECT_GT(arrays(whole), 4);
}

TEST_F(LocalTrainerTest, PrecisionDecidesTheEngine) {
  const auto engine = [this](const char* precision) {
    plan_.set_precision(precision);
    const absl::StatusOr<LocalResult> result = TrainLocally(Task());
    return result.ok() ? result->engine : result.status().ToString();
  };
  EXPECT_EQ(nn::EngineName(nn::Precision::kFloat32), engine("float32"));
  EXPECT_EQ(nn::EngineName(nn::Precision::kFloat32), engine(""));
  if (nn::HasBf16()) {
    EXPECT_EQ(nn::EngineName(nn::Precision::kBf16), engine("bf16"));
    EXPECT_EQ(nn::EngineName(nn::Precision::kBf16), engine("auto"));
  } else {
    EXPECT_THAT(engine("bf16"), HasSubstr("cannot train in bf16"));
    EXPECT_EQ(nn::EngineName(nn::Precision::kFloat32), engine("auto"));
  }
}

TEST_F(LocalTrainerTest, PlansAndInputsOutOfRangeAreRefused) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const auto with = [this](const std::function<void(v1::TrainPlan*)>& change) {
    plan_ = AdamPlan();
    change(&plan_);
    return TrainLocally(Task()).status();
  };
  EXPECT_THAT(with([](auto* p) { p->set_epochs(0); }), StatusIs(kInvalid, HasSubstr("epochs")));
  EXPECT_THAT(with([](auto* p) { p->set_epochs(1001); }), StatusIs(kInvalid, HasSubstr("epochs")));
  EXPECT_THAT(with([](auto* p) { p->set_validation_split(1); }), StatusIs(kInvalid, HasSubstr("validation_split")));
  EXPECT_THAT(with([](auto* p) { p->set_precision("float16"); }), StatusIs(kInvalid, HasSubstr("precision")));
  EXPECT_THAT(with([](auto* p) { p->clear_optimizer(); }), StatusIs(kInvalid, HasSubstr("optimizer")));
  EXPECT_THAT(with([](auto* p) { p->clear_learning_rate(); }), StatusIs(kInvalid, HasSubstr("learning rate")));
  EXPECT_THAT(with([](auto* p) { p->set_weight_decay(-1); }), StatusIs(kInvalid));
}

TEST_F(LocalTrainerTest, AnotherSizeOfBaseOrIndexBeyondTheDataIsRefused) {
  LocalTask task = Task();
  task.base = task.base.subspan(1);
  EXPECT_THAT(TrainLocally(task), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("parameters")));
  const std::vector<uint32_t> beyond{0, 203};
  LocalTask reach = Task();
  reach.indices = beyond;
  EXPECT_THAT(TrainLocally(reach), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("index")));
}

TEST_F(LocalTrainerTest, DataThatDoNotFitAreRefused) {
  data_.labels[7] = 9;
  EXPECT_THAT(TrainLocally(Task()), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("example 7")));
}

// One dense unit, whole set in one step: w -= rate * 2/n sum (w x + b - y) x, by hand in double.
TEST(GradientDescentTest, TheWholeSetInOneStepIsPlainGradientDescent) {
  const nn::ModelDescription model = Describe(LineModel());
  const data::Dataset data = Line(150);  // some full micro-batches and a rest
  const v1::TrainPlan plan = SgdPlan(0.1, 1, 0);
  const std::vector<float> base{0.5f, -0.25f, 0.125f};
  ASSERT_OK_AND_ASSIGN(const LocalResult r,
                       TrainLocally({.model = model, .base = base, .data = data, .plan = plan, .learning_rate = 0.1}));
  double gradient[3] = {}, loss = 0;
  for (size_t i = 0; i < data.count; ++i) {
    const double a = data.features[2 * i], b = data.features[2 * i + 1];
    const double error = base[0] * a + base[1] * b + base[2] - data.targets[i];
    loss += error * error / 150;
    for (const auto& [k, x] : {std::pair{0, a}, {1, b}, {2, 1.0}}) gradient[k] += 2 * error * x / 150;
  }
  EXPECT_EQ(r.steps, 1u);
  EXPECT_NEAR(r.train_loss, loss, 1e-6);
  for (int k = 0; k < 3; ++k) EXPECT_NEAR(r.delta[static_cast<size_t>(k)], -0.1 * gradient[k], 1e-6) << k;
}

TEST(GradientDescentTest, TheWorkedExampleStepsUphillToTwoFifths) {
  // d/dw (y - w x)^2 = -2 x (y - w x): from w = 0, x = 1, y = 2 with rate 0.1 the next w is +0.4.
  const nn::ModelDescription model =
      Describe(FromText<v1::ModelDescription>("input: 1 layers { dense { units: 1 } } loss: LOSS_MEAN_SQUARED_ERROR"));
  data::Dataset data;
  data.count = 1;
  data.features = {1};
  data.targets = {2};
  const v1::TrainPlan plan = SgdPlan(0.1, 1, 1);
  const std::vector<float> base{0, 0};
  ASSERT_OK_AND_ASSIGN(const LocalResult r,
                       TrainLocally({.model = model, .base = base, .data = data, .plan = plan, .learning_rate = 0.1}));
  EXPECT_FLOAT_EQ(r.delta[0], 0.4f);
  EXPECT_FLOAT_EQ(r.delta[1], 0.4f);
  EXPECT_EQ(r.train_loss, 4);
  EXPECT_EQ(r.validation_accuracy, std::nullopt);
}

TEST(GradientDescentTest, WeightDecayShrinksKernelsAndLeavesBiases) {
  const nn::ModelDescription model = Describe(LineModel());
  data::Dataset data = Line(4);
  data.features.assign(8, 0);
  data.targets.assign(4, 3);  // the bias fits already, so that only decay moves anything
  v1::TrainPlan plan = SgdPlan(0.1, 1, 4);
  plan.set_weight_decay(0.5);
  const std::vector<float> base{2, -4, 3};
  ASSERT_OK_AND_ASSIGN(const LocalResult r,
                       TrainLocally({.model = model, .base = base, .data = data, .plan = plan, .learning_rate = 0.1}));
  EXPECT_NEAR(r.delta[0], -0.1, 1e-6);
  EXPECT_NEAR(r.delta[1], 0.2, 1e-6);
  EXPECT_EQ(r.delta[2], 0);
}

TEST(GradientDescentTest, ClipNormBoundsTheStep) {
  const nn::ModelDescription model = Describe(LineModel());
  const data::Dataset data = Line(8);
  v1::TrainPlan plan = SgdPlan(1.0, 1, 8);
  plan.set_clip_norm(0.01);
  const std::vector<float> base{5, 5, 5};
  ASSERT_OK_AND_ASSIGN(const LocalResult r,
                       TrainLocally({.model = model, .base = base, .data = data, .plan = plan, .learning_rate = 1.0}));
  EXPECT_NEAR(r.update_norm, 0.01, 1e-6);
}

TEST(GradientDescentTest, MomentumOtherThanTheEnginesIsRefused) {
  const nn::ModelDescription model = Describe(LineModel());
  const data::Dataset data = Line(8);
  v1::TrainPlan plan = SgdPlan(0.1, 1, 8);
  plan.set_optimizer(v1::OPTIMIZER_MOMENTUM);
  plan.set_momentum(0.5);
  const std::vector<float> base(3);
  const LocalTask task{.model = model, .base = base, .data = data, .plan = plan, .learning_rate = 0.1};
  EXPECT_THAT(TrainLocally(task), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("momentum 0.5")));
  plan.set_momentum(0.9);
  EXPECT_OK(TrainLocally(task));
}

TEST(TrainingExamplesTest, IsKerasFloor) {
  EXPECT_EQ(TrainingExamples(10, 0.1), 9u);
  EXPECT_EQ(TrainingExamples(10, 0.25), 7u);
  EXPECT_EQ(TrainingExamples(10, 0), 10u);
  EXPECT_EQ(TrainingExamples(1, 0.5), 0u);
  EXPECT_EQ(TrainingExamples(60000, 0.1), 54000u);
}

}  // namespace
}  // namespace tributary::learning
