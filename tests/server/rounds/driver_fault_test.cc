// Whatever single write fails, whether it took effect or not, the run goes on and gives the same model.
#include <gtest/gtest.h>

#include "server/rounds/round_driver.h"
#include "tests/server/rounds/faulty_store.h"
#include "tests/server/rounds/tiny_federation.h"
#include "tests/support/status_matchers.h"

namespace tributary::rounds {
namespace {

using testing::FaultyStore;
using testing::TinyFederation;
using testing::TinyPlan;

struct Outcome {
  std::string state, model;
  uint64_t rounds = 0;
  int errors = 0;
  bool fault_hit = false;
};

// Drives a run to its end; an error is answered as the controller does, or by a new process.
Outcome RunWith(TinyFederation* fed, const std::string& request, int fail_at, FaultyStore::When when,
                bool new_process) {
  const std::string run = fed->CreateRun(TinyPlan(), request);
  FaultyStore faulty(&fed->store(), fail_at, when);
  RoundDriver::Environment environment;
  environment.store = &faulty;
  environment.dispatcher = &fed->dispatcher;
  environment.blobs = &fed->ledger.blobs();
  environment.clock = &fed->clock;
  environment.federation = testing::kFederation;
  const auto spec = *RunSpec::From(*fed->store().GetRun(run));
  auto board = std::make_unique<RunBoard>();
  auto driver = std::make_unique<RoundDriver>(environment, spec, board.get());
  Outcome outcome;
  for (int i = 0; i < 100; ++i) {
    const auto next = driver->Step();
    if (!next.ok()) {
      ++outcome.errors;
      driver->Reload();
      if (new_process) {
        board = std::make_unique<RunBoard>();
        driver = std::make_unique<RoundDriver>(environment, spec, board.get());
      }
      continue;
    }
    if (next->ended) break;
    if (next->wait == absl::ZeroDuration()) continue;
    const uint64_t round = (*fed->store().GetOpenRound(run))->round.round();
    for (const char* id : {"c00", "c01", "c02"}) (void)fed->store().AcceptUpdate(fed->Update(run, round, id));
  }
  outcome.state = fed->Run(run).state();
  outcome.model = fed->Run(run).model_sha256();
  outcome.rounds = fed->Run(run).rounds_done();
  outcome.fault_hit = faulty.failed();
  return outcome;
}

class DriverFaultTest : public ::testing::TestWithParam<std::tuple<FaultyStore::When, bool>> {};

TEST_P(DriverFaultTest, AnySingleFailedWriteChangesNothing) {
  const auto [when, new_process] = GetParam();
  TinyFederation fed;
  const Outcome undisturbed = RunWith(&fed, "undisturbed", -1, when, false);
  ASSERT_EQ(undisturbed.state, "completed");
  int fail_at = 0;
  for (;; ++fail_at) {
    const Outcome outcome = RunWith(&fed, absl::StrCat("fail-", fail_at), fail_at, when, new_process);
    if (!outcome.fault_hit) break;
    EXPECT_EQ(outcome.errors, 1) << fail_at;
    EXPECT_EQ(outcome.state, "completed") << fail_at;
    EXPECT_EQ(outcome.rounds, 2u) << fail_at;
    EXPECT_EQ(outcome.model, undisturbed.model) << fail_at;
  }
  EXPECT_EQ(fail_at, 17) << "writes of two rounds and their run: open, invite, drop the revoked (after the invitations "
                            "and before each of two decisions), aggregate, evaluate, commit; the end";
}

INSTANTIATE_TEST_SUITE_P(All, DriverFaultTest,
                         ::testing::Combine(::testing::Values(FaultyStore::When::kBefore, FaultyStore::When::kAfter),
                                            ::testing::Bool()));

}  // namespace
}  // namespace tributary::rounds
