#include "server/operator/run_file.h"

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace tributary::op {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using testing::StatusIs;

constexpr char kFull[] = R"(name = "digits"
rounds = 20
seed = 7
model = { preset = "keras-cnn" }
train = { epochs = 2, batch_size = 64, optimizer = "sgd", learning_rate = 0.1, validation_split = 0.1, precision = "float32" }
round = { clients = 10, min_clients = 3, over_select = 1.3, deadline = "10m", select_wait = "30s", stall_timeout = "1h", max_failed_rounds = 3, where = { region = "eu" } }
aggregate = { strategy = "fedavg", server_learning_rate = 0.5, max_weight = 600 }
evaluate = { every = 2, data = "/srv/holdout" }
stop = { metric = "test_accuracy", target = 0.99 }
keep_updates = "forever"
)";

TEST(RunFileTest, EveryKeyReachesThePlan) {
  const absl::StatusOr<RunFile> file = ParseRunFile(kFull, "digits.toml");
  ASSERT_THAT(file, IsOk());
  const v1::RunPlan& p = file->plan;
  EXPECT_EQ(p.name(), "digits");
  EXPECT_EQ(p.rounds(), 20u);
  EXPECT_EQ(p.seed(), 7u);
  EXPECT_EQ(p.model().preset(), "keras-cnn");
  EXPECT_EQ(p.train().epochs(), 2u);
  EXPECT_EQ(p.train().batch_size(), 64u);
  EXPECT_EQ(p.train().optimizer(), v1::OPTIMIZER_SGD);
  EXPECT_EQ(p.train().learning_rate(), 0.1);
  EXPECT_EQ(p.train().validation_split(), 0.1);
  EXPECT_EQ(p.round().clients(), 10u);
  EXPECT_EQ(p.round().over_select(), 1.3);
  EXPECT_EQ(p.round().deadline_ms(), 600'000u);
  EXPECT_EQ(p.round().stall_timeout_ms(), 3'600'000u);
  EXPECT_EQ(p.round().where().at("region"), "eu");
  EXPECT_EQ(p.aggregate().server_learning_rate(), 0.5);
  EXPECT_EQ(p.aggregate().max_weight(), 600u);
  EXPECT_EQ(p.evaluate().every(), 2u);
  EXPECT_EQ(p.evaluate().data(), "/srv/holdout");
  EXPECT_EQ(p.stop().target(), 0.99);
  EXPECT_EQ(p.keep_updates(), "forever");
}

TEST(RunFileTest, AModelAloneIsEnough) {
  const absl::StatusOr<RunFile> file = ParseRunFile("model = { preset = \"fedavg-cnn\" }", "run.toml");
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->plan.train().optimizer(), v1::OPTIMIZER_ADAM);
  EXPECT_EQ(file->plan.train().batch_size(), 32u);
  EXPECT_EQ(file->plan.round().min_clients(), 3u);
  EXPECT_EQ(file->plan.aggregate().max_weight(), 1u << 20);
  EXPECT_EQ(file->plan.keep_updates(), "run");
}

TEST(RunFileTest, LayersAreReadAsWritten) {
  const absl::StatusOr<RunFile> file = ParseRunFile(R"(
classes = ["cat", "dog"]
[model]
input = [10, 12, 3]
input_mean = [0.1, 0.2, 0.3]
input_std = 0.5
loss = "sparse_categorical_crossentropy"
layers = [
  { conv2d = { filters = 4, kernel = [3, 5], strides = [2, 1], padding = "same", activation = "relu" } },
  { max_pool2d = { pool = 2 } },
  { dropout = { rate = 0.25 } },
  { flatten = {} },
  { dense = { units = 2 } },
  { softmax = {} },
]
)",
                                                    "cats.toml");
  ASSERT_THAT(file, IsOk());
  const v1::ModelDescription& m = file->plan.model();
  ASSERT_EQ(m.layers_size(), 6);
  EXPECT_EQ(m.layers(0).conv2d().kernel_height(), 3u);
  EXPECT_EQ(m.layers(0).conv2d().kernel_width(), 5u);
  EXPECT_EQ(m.layers(0).conv2d().stride_height(), 2u);
  EXPECT_EQ(m.layers(0).conv2d().padding(), v1::PADDING_SAME);
  EXPECT_EQ(m.layers(1).max_pool2d().pool_width(), 2u);
  EXPECT_EQ(m.layers(2).dropout().rate(), 0.25f);
  EXPECT_TRUE(m.layers(3).has_flatten());
  EXPECT_EQ(m.layers(5).activation().activation(), v1::ACTIVATION_SOFTMAX);
  EXPECT_EQ(m.classes(1), "dog");
  EXPECT_EQ(m.input_mean_size(), 3);
  EXPECT_EQ(m.input_std_size(), 1);
}

TEST(RunFileTest, AllFaultsComeAtOnceWithTheirLines) {
  const absl::StatusOr<RunFile> file = ParseRunFile(R"(name = "Digits"
rounds = 0
sead = 1
model = { preset = "keras-cnn" }
train = { epochs = "many", optimizer = "adamw" }
round = { clients = 2, min_clients = 3 }
keep_updates = "week"
)",
                                                    "bad.toml");
  EXPECT_THAT(
      file, StatusIs(absl::StatusCode::kInvalidArgument,
                     AllOf(HasSubstr("bad.toml:1: "), HasSubstr("bad.toml:2: "), HasSubstr("bad.toml:3: "),
                           HasSubstr("seed"), HasSubstr("bad.toml:5: "), HasSubstr("adamw"), HasSubstr("bad.toml:6: "),
                           HasSubstr("min_clients is 3, more than clients, 2"), HasSubstr("bad.toml:7: "))));
}

TEST(RunFileTest, ALayerWithoutOutputIsFoundAtItsLine) {
  const absl::StatusOr<RunFile> file = ParseRunFile(R"([model]
input = [4, 4, 1]
loss = "sparse_categorical_crossentropy"
layers = [
  { conv2d = { filters = 2, kernel = 3 } },
  { conv2d = { filters = 2, kernel = 5 } },
  { flatten = {} },
  { dense = { units = 3, activation = "softmax" } },
]
)",
                                                    "deep.toml");
  EXPECT_THAT(file, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("deep.toml:6: model.layers[1]: layer 2")));
}

TEST(RunFileTest, BatchNormalisationIsRefusedWithTheReason) {
  const absl::StatusOr<RunFile> file = ParseRunFile(R"([model]
input = [4]
loss = "mean_squared_error"
layers = [ { batch_normalization = {} }, { dense = { units = 1 } } ]
)",
                                                    "bn.toml");
  EXPECT_THAT(file, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("statistics differ per client")));
}

TEST(RunFileTest, AMisspeltLayerNamesTheNearestOne) {
  const absl::StatusOr<RunFile> file = ParseRunFile(R"([model]
input = [4]
layers = [ { dens = { units = 2, activation = "softmax" } } ]
)",
                                                    "typo.toml");
  EXPECT_THAT(file, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("did you mean \"dense\"")));
}

TEST(RunFileTest, NoModelIsAFault) {
  EXPECT_THAT(ParseRunFile("rounds = 3", "run.toml"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no model")));
}

TEST(RunFileTest, OverridesWinOverTheFile) {
  const absl::StatusOr<RunFile> file =
      ParseRunFile(kFull, "digits.toml", {"rounds=3", "train.optimizer=adam", "round.min_clients=10"});
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->plan.rounds(), 3u);
  EXPECT_EQ(file->plan.train().optimizer(), v1::OPTIMIZER_ADAM);
  EXPECT_EQ(file->plan.round().min_clients(), 10u);
  EXPECT_EQ(file->plan.train().epochs(), 2u);
}

TEST(RunFileTest, AnOverrideIsCheckedLikeTheFile) {
  EXPECT_THAT(ParseRunFile(kFull, "digits.toml", {"train.epoch=3"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("epochs")));
}

TEST(RunFileTest, WarmStartTellsAFileFromARun) {
  const absl::StatusOr<RunFile> from_run =
      ParseRunFile("model = { preset = \"keras-cnn\", from = \"digits@12\" }", "run.toml");
  ASSERT_THAT(from_run, IsOk());
  EXPECT_EQ(from_run->plan.warm_start(), "digits@12");
  EXPECT_EQ(from_run->warm_start_file, "");
  const absl::StatusOr<RunFile> from_file =
      ParseRunFile("model = { preset = \"keras-cnn\", from = \"models/a.safetensors\" }", "run.toml");
  ASSERT_THAT(from_file, IsOk());
  EXPECT_EQ(from_file->plan.warm_start(), "file");
  EXPECT_EQ(from_file->warm_start_file, "models/a.safetensors");
}

TEST(RunFileTest, WhatIsNotTomlSaysWhere) {
  EXPECT_THAT(
      ParseRunFile("name = \"a\nrounds = 1", "cut.toml"),
      StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("cut.toml:1"), Not(HasSubstr("cut.toml:9")))));
}

}  // namespace
}  // namespace tributary::op
