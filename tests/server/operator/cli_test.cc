#include "server/operator/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "tests/server/operator/cli_fixture.h"
#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"

namespace tributary::op {
namespace {

using ::testing::HasSubstr;

class CliTest : public CommandLineTest {};

v1::RunDocument ExampleRun() {
  v1::RunDocument d;
  d.set_schema_version(1);
  v1::Run& run = *d.mutable_run();
  run.set_id("r-0123456789ab");
  run.set_name("digits");
  run.set_state("completed");
  run.set_rounds_done(2);
  run.set_rounds_total(2);
  run.set_best_round(2);
  run.set_seed(1);
  run.add_engines("0.1.0/avx2/float32");
  run.set_created_unix_ms(1700000000000);
  run.set_ended_unix_ms(1700000060000);
  run.set_model_sha256(std::string(64, 'c'));
  run.set_head_sha256(std::string(64, 'd'));
  for (uint64_t n : {1, 2}) {
    v1::Round& r = *d.add_rounds();
    r.set_round(n);
    r.set_state("committed");
    r.set_invited(2);
    r.set_accepted(2);
    r.set_examples(5037);
    r.set_train_loss(0.5 / static_cast<double>(n));
    r.set_test_loss(0.25);
    r.set_test_accuracy(0.97);
    r.set_test_f1(0.968);
    r.set_bytes_up(5551696);
    r.set_train_ms(2500);
    r.set_total_ms(2600);
    r.set_overhead_ms(40);
    r.set_model_sha256(std::string(64, n == 1 ? 'b' : 'c'));
  }
  return d;
}

v1::Contribution ExampleContribution() {
  v1::Contribution c;
  c.set_round(1);
  c.set_client("hospital-a");
  c.set_state("accepted");
  c.set_examples(5000);
  c.set_weight(5000);
  c.set_engine("0.1.0/avx2/float32");
  c.set_train_loss(0.5);
  c.set_update_norm(1.25);
  c.set_bytes_up(2775848);
  c.set_train_ms(2400);
  c.set_update_sha256(std::string(64, 'e'));
  return c;
}

// Every verb's help is part of the contract: a change shows up in review.
TEST_F(CliTest, HelpOfEveryVerb) {
  const std::vector<std::vector<std::string>> verbs = {{},
                                                       {"status"},
                                                       {"doctor"},
                                                       {"join"},
                                                       {"demo"},
                                                       {"simulate"},
                                                       {"run"},
                                                       {"run", "start"},
                                                       {"run", "list"},
                                                       {"run", "show"},
                                                       {"run", "watch"},
                                                       {"run", "stop"},
                                                       {"run", "metrics"},
                                                       {"client"},
                                                       {"client", "invite"},
                                                       {"client", "list"},
                                                       {"client", "show"},
                                                       {"client", "revoke"},
                                                       {"operator"},
                                                       {"operator", "invite"},
                                                       {"model"},
                                                       {"model", "export"},
                                                       {"model", "eval"},
                                                       {"model", "predict"},
                                                       {"history"},
                                                       {"history", "verify"},
                                                       {"history", "export"},
                                                       {"history", "check"},
                                                       {"history", "replay"},
                                                       {"audit"},
                                                       {"audit", "list"}};
  std::string all;
  for (std::vector<std::string> verb : verbs) {
    verb.push_back("--help");
    EXPECT_EQ(Run(verb), kExitOk);
    EXPECT_THAT(out(), HasSubstr("Example: tributary")) << verb[0];
    all += "$ tributary";
    for (const std::string& word : verb) all += " " + word;
    all += "\n" + out() + "\n";
  }
  testing::ExpectGolden("operator/help.txt", all);
}

TEST_F(CliTest, TablesOfARun) {
  coordinator_.run = ExampleRun();
  EXPECT_EQ(Run({"run", "show", "digits"}), kExitOk);
  std::string all = out();
  *coordinator_.run.add_contributions() = ExampleContribution();
  EXPECT_EQ(Run({"run", "show", "digits", "--round", "1"}), kExitOk);
  EXPECT_EQ(coordinator_.asked.round(), 1u);
  testing::ExpectGolden("operator/run_show.txt", all + "\n" + out());
}

TEST_F(CliTest, JsonOfARun) {
  coordinator_.run = ExampleRun();
  *coordinator_.run.add_contributions() = ExampleContribution();
  EXPECT_EQ(Run({"-o", "json", "run", "show", "digits"}), kExitOk);
  testing::ExpectGolden("operator/run_show.json", out());
}

TEST_F(CliTest, MetricsAsCsv) {
  coordinator_.run = ExampleRun();
  EXPECT_EQ(Run({"run", "metrics", "digits", "-o", "csv"}), kExitOk);
  testing::ExpectGolden("operator/run_metrics.csv", out());
}

TEST_F(CliTest, TablesOfClientsRunsStatusAndAudit) {
  v1::Client& c = *coordinator_.clients.add_clients();
  c.set_name("hospital-a");
  c.set_state("online");
  c.set_examples(5000);
  c.set_last_seen_unix_ms(1700000000000);
  c.set_certificate_not_after_unix_ms(1702592000000);
  c.set_version("0.1.0");
  (*c.mutable_labels())["region"] = "eu";
  *coordinator_.runs.add_runs() = ExampleRun().run();
  coordinator_.status.set_version("0.1.0");
  coordinator_.status.set_federation("f00d");
  coordinator_.status.set_main_endpoint("localhost:7443");
  coordinator_.status.set_enrol_endpoint("closed");
  v1::AuditEntry& a = *coordinator_.audit.add_entries();
  a.set_sequence(4);
  a.set_actor("operator/local");
  a.set_action("client.revoke");
  a.set_subject("hospital-b");
  a.set_outcome("ok");
  std::string all;
  for (const std::vector<std::string>& verb :
       {std::vector<std::string>{"client", "list"}, {"run", "list"}, {"status"}, {"audit", "list"}}) {
    EXPECT_EQ(Run(verb), kExitOk);
    all += "$ " + verb[0] + "\n" + out() + "\n";
  }
  testing::ExpectGolden("operator/tables.txt", all);
}

TEST_F(CliTest, AnInvitationIsTheBareTokenOnStdout) {
  coordinator_.invitation.set_name("hospital-a");
  coordinator_.invitation.set_invitation("trb1_token");
  EXPECT_EQ(
      Run({"client", "invite", "hospital-a", "--expires", "2h", "--label", "region=eu", "--label", "kind=hospital"}),
      kExitOk);
  EXPECT_EQ(out(), "trb1_token\n");
  EXPECT_EQ(coordinator_.invited.name(), "hospital-a");
  EXPECT_EQ(coordinator_.invited.expires_in_ms(), 7'200'000u);
  EXPECT_EQ(coordinator_.invited.labels().at("region"), "eu");
  EXPECT_EQ(coordinator_.invited.labels().at("kind"), "hospital");
  EXPECT_EQ(coordinator_.invited.role(), "client");
  EXPECT_EQ(coordinator_.invited.request_id().size(), 32u);
}

TEST_F(CliTest, AnOperatorIsInvitedAsOne) {
  EXPECT_EQ(Run({"operator", "invite", "ann"}), kExitOk);
  EXPECT_EQ(coordinator_.invited.role(), "operator");
}

TEST_F(CliTest, UsageFaultsEndWithTwo) {
  EXPECT_EQ(Run({"run", "start"}), kExitUsage);
  EXPECT_EQ(Run({"run", "strat", "x.toml"}), kExitUsage);
  EXPECT_EQ(Run({"run", "list", "-o", "yaml"}), kExitUsage);
  EXPECT_EQ(Run({}), kExitUsage);
  EXPECT_EQ(Run({"client", "invite", "a", "--label", "region"}), kExitUsage);
}

TEST_F(CliTest, ANumberThatIsNoneIsNamed) {
  for (const char* word : {"abc", "0", "-1", "1.5", "18446744073709551616"}) {
    EXPECT_EQ(Run({"run", "show", "digits", "--round", word}), kExitUsage);
    EXPECT_EQ(err(), absl::StrCat("error: --round: `", word, "` is no whole number from 1 on\n",
                                  "fix: see --help of this command\n"));
  }
}

TEST_F(CliTest, TheCoordinatorsRefusalChoosesTheExitCode) {
  const std::vector<std::pair<absl::Status, int>> cases = {
      {absl::UnavailableError("down"), kExitUnreachable},   {absl::PermissionDeniedError("no"), kExitNotAllowed},
      {absl::DeadlineExceededError("slow"), kExitTimedOut}, {absl::AlreadyExistsError("there"), kExitConflict},
      {absl::NotFoundError("no such run"), kExitFailed},    {absl::InternalError("oh"), kExitBug}};
  for (const auto& [status, code] : cases) {
    coordinator_.error = status;
    EXPECT_EQ(Run({"run", "list"}), code) << status;
    EXPECT_EQ(out(), "");
    EXPECT_THAT(err(), HasSubstr(std::string(status.message())));
  }
}

TEST_F(CliTest, ErrorsAsJsonGoToStderr) {
  coordinator_.error = absl::NotFoundError("no run \"x\"");
  EXPECT_EQ(Run({"run", "show", "x", "-o", "json"}), kExitFailed);
  const nlohmann::json j = nlohmann::json::parse(err());
  EXPECT_EQ(j["error"]["code"], "not_found");
  EXPECT_EQ(j["error"]["cause"], "no run \"x\"");
  EXPECT_TRUE(j["error"].contains("fix"));
}

TEST_F(CliTest, ABadRunFileStartsNothing) {
  const testing::TempDir dir;
  const std::string file = dir.path() + "/bad.toml";
  ASSERT_TRUE(WriteFileDurably(file, "rounds = 0\nmodel = { preset = \"keras-cnn\" }\n").ok());
  EXPECT_EQ(Run({"run", "start", file}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("bad.toml:1: "));
  EXPECT_EQ(coordinator_.started.request_id(), "");
}

TEST_F(CliTest, WatchingShowsEveryRoundAndEndsWithTheRun) {
  const testing::TempDir dir;
  const std::string file = dir.path() + "/run.toml";
  ASSERT_TRUE(WriteFileDurably(file, "model = { preset = \"keras-cnn\" }\n").ok());
  const v1::RunDocument done = ExampleRun();
  coordinator_.run = done;
  coordinator_.run.mutable_run()->set_state("running");
  coordinator_.run.clear_rounds();
  for (int i = 0; i < 2; ++i) {
    v1::RunEvent& e = coordinator_.events.emplace_back();
    *e.mutable_run() = done.run();
    if (i == 0) e.mutable_run()->set_state("running");
    *e.mutable_round() = done.rounds(i);
  }
  EXPECT_EQ(Run({"run", "start", file, "--watch"}), kExitOk);
  EXPECT_THAT(out(), HasSubstr("round=1 state=committed"));
  EXPECT_THAT(out(), HasSubstr("round=2 state=committed"));
  EXPECT_THAT(out(), HasSubstr("state=completed"));
}

TEST_F(CliTest, AFailedHistoryEndsWithOneAndNamesTheRound) {
  coordinator_.verification.mutable_first_fault()->set_run("r-1");
  coordinator_.verification.mutable_first_fault()->set_round(4);
  coordinator_.verification.mutable_first_fault()->set_what("model blob does not fit its digest");
  EXPECT_NE(Run({"history", "verify", "r-1"}), kExitOk);
  EXPECT_EQ(Run({"history", "verify", "r-1"}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("round 4"));
}

TEST_F(CliTest, NoDirectoryIsAUsageFault) {
  std::ostringstream o, e;
  Context context{o, e};
  EXPECT_EQ(RunCommandLine({"status"}, "/nowhere", &context), kExitUsage);
  EXPECT_THAT(e.str(), HasSubstr("TRIBUTARY_DIR"));
}

}  // namespace
}  // namespace tributary::op
