// `tributary simulate` as people call it: on digits that are drawn here, a model of one layer, milliseconds a round.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/learning/model_file.h"
#include "server/operator/cli.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tributary::op {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Json = nlohmann::json;

constexpr char kRun[] = R"(
name = "twin"
rounds = 3
train = { epochs = 1, batch_size = 20, optimizer = "sgd", learning_rate = 0.1, learning_rate_decay = 0.5 }
round = { clients = 3, min_clients = 2 }
[model]
input = [28, 28, 1]
layers = [ { flatten = {} }, { dense = { units = 10, activation = "softmax" } } ]
)";

class SimulateVerbTest : public ::testing::Test {
 protected:
  SimulateVerbTest() : file_(Write("run.toml", kRun)) {}

  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = dir_.path() + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  int Run(std::vector<std::string> args) {
    out_.str("");
    err_.str("");
    Context context{out_, err_};
    const std::vector<std::string> first = {"simulate", file_, "-o", "jsonl"};
    if (std::find(args.begin(), args.end(), "--clients") == args.end()) args.insert(args.end(), {"--clients", "5"});
    args.insert(args.begin(), first.begin(), first.end());
    return RunCommandLine(args, "/nowhere", &context);
  }
  // The documents that a successful call prints.
  std::vector<Json> Rounds(std::vector<std::string> args) {
    args.insert(args.end(), {"--data", "synthetic:400"});
    EXPECT_EQ(Run(args), kExitOk) << err_.str();
    std::vector<Json> rounds;
    std::istringstream lines(out_.str());
    for (std::string line; std::getline(lines, line);) rounds.push_back(Json::parse(line));
    return rounds;
  }
  static std::vector<std::string> Digests(const std::vector<Json>& rounds) {
    std::vector<std::string> digests;
    for (const Json& round : rounds) digests.push_back(round["model_sha256"]);
    return digests;
  }

  const testing::TempDir dir_;
  const std::string file_;
  std::ostringstream out_, err_;
};

TEST_F(SimulateVerbTest, GoesOnFromACheckpointAsIfItHadNotStopped) {
  const std::vector<std::string> whole = Digests(Rounds({}));
  ASSERT_THAT(whole, SizeIs(3));
  const std::string checkpoint = dir_.path() + "/at.safetensors";
  std::vector<std::string> pieces = Digests(Rounds({"--checkpoint", checkpoint, "--set", "rounds=1"}));
  EXPECT_THAT(pieces, SizeIs(1));
  for (const std::string& digest : Digests(Rounds({"--checkpoint", checkpoint}))) pieces.push_back(digest);
  EXPECT_EQ(pieces, whole);
  EXPECT_THAT(Rounds({"--checkpoint", checkpoint}), IsEmpty()) << "all rounds were done";
}

TEST_F(SimulateVerbTest, ACheckpointOfAnotherSimulationIsRefused) {
  const std::string checkpoint = dir_.path() + "/at.safetensors";
  Rounds({"--checkpoint", checkpoint, "--set", "rounds=1"});
  const std::vector<std::vector<std::string>> others = {
      {"--seed", "2"}, {"--partition", "shards:2"}, {"--clients", "4"}, {"--set", "train.learning_rate=0.2"}};
  for (std::vector<std::string> other : others) {
    other.insert(other.end(), {"--checkpoint", checkpoint, "--data", "synthetic:400"});
    EXPECT_NE(Run(other), kExitOk) << other[1];
    EXPECT_THAT(err_.str(), HasSubstr("another plan")) << other[1];
  }
}

TEST_F(SimulateVerbTest, ACheckpointRemembersThatTheStopRuleWasMet) {
  const std::vector<std::string> args = {"--checkpoint", dir_.path() + "/at.safetensors",
                                         "--set",        "stop.metric=test_loss",
                                         "--set",        "stop.target=100",
                                         "--test",       "synthetic:50"};
  EXPECT_THAT(Rounds(args), SizeIs(1));
  EXPECT_THAT(Rounds(args), IsEmpty());
}

TEST_F(SimulateVerbTest, TestsOnWhatTheRunFileNamesOrTheCommandLine) {
  EXPECT_FALSE(Rounds({})[0].contains("test_accuracy"));
  const std::vector<Json> named = Rounds({"--set", "evaluate.data=\"synthetic:50\"", "--set", "evaluate.every=2"});
  EXPECT_FALSE(named[0].contains("test_accuracy"));
  EXPECT_TRUE(named[1].contains("test_accuracy"));
  EXPECT_TRUE(named[2].contains("test_accuracy"));
  const std::vector<Json> given = Rounds({"--set", "evaluate.data=\"/nowhere\"", "--test", "synthetic:50"});
  EXPECT_EQ(given[1]["test_loss"], named[1]["test_loss"]);
}

TEST_F(SimulateVerbTest, WarmStartFromAFile) {
  const std::string model = dir_.path() + "/trained.safetensors";
  Rounds({"--checkpoint", model});
  const Json cold = Rounds({})[0], warm = Rounds({"--set", "model.from=\"" + model + "\""})[0];
  EXPECT_LT(warm["train_loss"], cold["train_loss"]);
  EXPECT_NE(Run({"--data", "synthetic:400", "--set", "model.from=run@best"}), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr("no coordinator"));
}

TEST_F(SimulateVerbTest, TakesNumbersAsTargets) {
  std::string rows = "a,b,target\n";
  for (int i = 0; i < 200; ++i) {
    const double a = i % 17 / 17.0, b = i % 13 / 13.0;
    rows += std::to_string(a) + "," + std::to_string(b) + "," + std::to_string(2 * a - b + 0.5) + "\n";
  }
  const std::string csv = Write("line.csv", rows);
  const std::string file = Write("line.toml", R"(
rounds = 20
train = { batch_size = 8, optimizer = "adam", learning_rate = 0.05 }
model = { input = [2], layers = [ { dense = { units = 1 } } ], loss = "mean_squared_error" }
)");
  Context context{out_, err_};
  const auto call = [&](const std::string& partition) {
    out_.str("");
    err_.str("");
    return RunCommandLine(
        {"simulate", file, "--clients", "4", "--partition", partition, "--data", csv, "--test", csv, "-o", "jsonl"},
        "/nowhere", &context);
  };
  ASSERT_EQ(call("iid"), kExitOk) << err_.str();
  const std::string lines = out_.str();
  const Json last = Json::parse(lines.substr(lines.rfind('{')));
  EXPECT_LT(last["test_loss"].get<double>(), 0.01);
  EXPECT_FALSE(last.contains("test_accuracy"));
  EXPECT_NE(call("shards:2"), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr("use iid"));
}

TEST_F(SimulateVerbTest, ATraceHoldsBatchesLossesAndWeights) {
  const std::string trace = dir_.path() + "/trace/here";
  const std::vector<Json> rounds = Rounds({"--trace", trace, "--set", "rounds=2"});
  for (size_t r = 0; r < 2; ++r) {
    ASSERT_OK_AND_ASSIGN(const learning::ModelFile model,
                         learning::ReadModelFile(trace + "/model-000" + std::to_string(r + 1) + ".safetensors"));
    EXPECT_EQ(model.metadata.at("parameters_sha256"), rounds[r]["model_sha256"]);
  }
  EXPECT_OK(learning::ReadModelFile(trace + "/model-0000.safetensors").status());
  std::ifstream plan(trace + "/trace.json");
  EXPECT_EQ(Json::parse(plan)["plan"]["train"]["batch_size"], 20);
  size_t clients = 0;
  for (const auto& entry : std::filesystem::directory_iterator(trace + "/round-0002")) {
    if (entry.path().extension() != ".jsonl") continue;
    ++clients;
    std::vector<Json> steps;
    std::ifstream lines(entry.path());
    for (std::string line; std::getline(lines, line);) steps.push_back(Json::parse(line));
    ASSERT_THAT(steps, SizeIs(4));  // 80 examples in batches of 20
    for (size_t s = 0; s < 4; ++s) {
      EXPECT_EQ(steps[s]["step"], s + 1);
      EXPECT_THAT(steps[s]["indices"], SizeIs(20));
      EXPECT_EQ(steps[s]["learning_rate"], 0.05);
      EXPECT_GT(steps[s]["loss"], 0);
    }
    EXPECT_OK(learning::ReadModelFile(std::filesystem::path(entry).replace_extension(".safetensors")).status());
  }
  EXPECT_EQ(clients, 3u);
  EXPECT_NE(Run({"--data", "synthetic:400", "--trace", trace}), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr("there is a trace already"));
}

TEST_F(SimulateVerbTest, SaysWhoCouldNotTrainAndGoesOn) {
  // 100 of them have two examples, the others one.
  const std::vector<Json> rounds =
      Rounds({"--clients", "300", "--set", "train.validation_split=0.5", "--set", "round.clients=40"});
  EXPECT_THAT(rounds, SizeIs(3));
  EXPECT_THAT(err_.str(), HasSubstr("did not train: a validation split of 0.5 leaves none of 1"));
}

}  // namespace
}  // namespace tributary::op
