#include "server/rounds/run_spec.h"

#include "absl/strings/str_cat.h"

namespace tributary::rounds {

absl::StatusOr<std::shared_ptr<const RunSpec>> RunSpec::From(const RunRow& row) {
  auto spec = std::make_shared<RunSpec>();
  spec->id = row.run.id();
  spec->name = row.run.name();
  if (!spec->plan.ParseFromString(row.plan_bytes)) {
    return absl::DataLossError(absl::StrCat("run ", spec->id, ": its stored plan cannot be read"));
  }
  auto model = nn::ModelDescription::FromProto(spec->plan.model());
  if (!model.ok()) {
    return absl::DataLossError(absl::StrCat("run ", spec->id, ": its stored model: ", model.status().message()));
  }
  spec->model = *std::move(model);
  spec->plan_bytes = row.plan_bytes;
  spec->plan_sha256 = row.run.plan_sha256();
  spec->genesis_sha256 = row.run.genesis_sha256();
  spec->receipt_certificate_pem = row.receipt_certificate_pem;
  spec->rules = RoundRules::From(spec->plan);
  return spec;
}

bool IsActiveRun(const v1::Run& run) { return run.state() == "running" || run.state() == "stalled"; }

}  // namespace tributary::rounds
