#include "server/rounds/run_start.h"

#include <gtest/gtest.h>

#include "tests/server/rounds/tiny_federation.h"
#include "tests/support/status_matchers.h"

namespace tributary::rounds {
namespace {

using testing::StatusIs;

TEST(RunStartTest, AModelThatCannotBeAveragedHereIsRefused) {
  testing::TinyFederation fed;
  v1::StartRunRequest request;
  request.set_request_id("request-1");
  *request.mutable_plan() = testing::TinyPlan();
  const uint64_t needed = testing::kTinyParameters * 40;
  const RunStart large{fed.store(), fed.ledger.blobs(), fed.clock, needed};
  EXPECT_OK(large.Prepare(request, "operator/test"));
  const RunStart small{fed.store(), fed.ledger.blobs(), fed.clock, needed - 1};
  EXPECT_THAT(small.Prepare(request, "operator/test"), StatusIs(absl::StatusCode::kInvalidArgument));
  request.set_dry_run(true);
  EXPECT_THAT(small.Prepare(request, "operator/test"), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace tributary::rounds
