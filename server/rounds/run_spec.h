// What never changes about a run: its plan, read and checked once, and what its tasks carry of it.
// Immutable after From; safe to read from any thread. Shared by its controller and by transfers of that run.
#ifndef TRIBUTARY_SERVER_ROUNDS_RUN_SPEC_H_
#define TRIBUTARY_SERVER_ROUNDS_RUN_SPEC_H_

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/nn/model_description.h"
#include "server/rounds/round.h"
#include "server/rounds/store.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::rounds {

struct RunSpec {
  std::string id, name;
  v1::RunPlan plan;
  std::string plan_bytes, plan_sha256;
  std::string genesis_sha256, receipt_certificate_pem;
  nn::ModelDescription model;
  RoundRules rules;

  // DATA_LOSS when the stored plan cannot be read or no longer describes a model.
  static absl::StatusOr<std::shared_ptr<const RunSpec>> From(const RunRow& row);

  uint64_t parameters() const { return model.parameter_count(); }
  uint64_t model_bytes() const { return parameters() * sizeof(float); }
};

// running or stalled.
bool IsActiveRun(const v1::Run& run);

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_RUN_SPEC_H_
