// A ledger, blobs, a manual clock and clients that answer as a test tells them: the rounds without any network.
#ifndef TRIBUTARY_TESTS_SERVER_ROUNDS_TINY_FEDERATION_H_
#define TRIBUTARY_TESTS_SERVER_ROUNDS_TINY_FEDERATION_H_

#include <string>
#include <vector>

#include "common/update/update_codec.h"
#include "server/rounds/run_start.h"
#include "server/rounds/task_builder.h"
#include "tests/common/learning/tiny_plan.h"
#include "tests/server/rounds/fake_dispatcher.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/manual_clock.h"

namespace tributary::testing {

inline constexpr char kFederation[] = "federation-1";

struct TinyFederation {
  // Clients c00, c01... are enrolled and online.
  explicit TinyFederation(int clients = 3) {
    for (int i = 0; i < clients; ++i) dispatcher.Enrol(LedgerFixture::ClientId(i));
  }

  rounds::RunStore& store() { return ledger.store(); }

  std::string CreateRun(const v1::RunPlan& plan, const std::string& request = "request-1") {
    v1::StartRunRequest start;
    start.set_request_id(request);
    *start.mutable_plan() = plan;
    const rounds::RunStart run{store(), ledger.blobs(), clock};
    return store().CreateRun(*run.Prepare(start, "operator/test"))->run.id();
  }

  // What this client would send for this round: a delta with one value everywhere, its own in every round.
  rounds::Acceptance Update(const std::string& run, uint64_t round, const std::string& client_id, float value,
                            uint64_t examples = 100) {
    const std::vector<float> delta(kTinyParameters, value);
    rounds::Acceptance update =
        ledger.MakeAcceptance(run, round, client_id, *update::EncodeDelta("float32", delta), examples);
    update.record.set_task_id(rounds::TaskId(kFederation, run, round, client_id));
    return update;
  }
  static float ValueOf(const std::string& client_id, uint64_t round) {
    return static_cast<float>(client_id.back() - '0' + 1) * 0.37f / static_cast<float>(round);
  }
  rounds::Acceptance Update(const std::string& run, uint64_t round, const std::string& client_id) {
    return Update(run, round, client_id, ValueOf(client_id, round));
  }

  v1::Round Round(const std::string& run, uint64_t round) { return store().GetRound(run, round)->round; }
  v1::Run Run(const std::string& run) { return store().GetRun(run)->run; }
  // "id state" of each row, by client.
  std::vector<std::string> Rows(const std::string& run, uint64_t round) {
    std::vector<std::string> all;
    const auto rows = store().ListContributions(run, round);
    for (const v1::Contribution& row : *rows) {
      all.push_back(row.client_id() + " " + row.state());
    }
    return all;
  }
  std::vector<float> Model(const std::string& sha256) {
    return *update::DecodeParameters(*ledger.blobs().Get(sha256), kTinyParameters);
  }

  LedgerFixture ledger;
  ManualClock clock;
  FakeDispatcher dispatcher;
};

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SERVER_ROUNDS_TINY_FEDERATION_H_
