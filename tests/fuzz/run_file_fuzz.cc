// The run file. What it takes is a plan that the coordinator takes.
#include "common/learning/plan_check.h"
#include "server/operator/run_file.h"
#include "tests/fuzz/fuzz.h"

// The file; after the separator, an override as --set has it.
FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const auto [text, override] = fuzz::Halves(input, fuzz::kBetween);
  std::vector<std::string> overrides;
  if (!override.empty()) overrides.emplace_back(override);
  const auto file = op::ParseRunFile(text, "run.toml", overrides);
  if (!file.ok()) return;
  fuzz::Require(learning::ValidatePlan(file->plan).ok());
}
