// A run file (TOML, docs/reference/config.md) -> a plan. Strict: unknown keys, wrong types and impossible values are
// all listed at once, each with its line. Pure but for reading what it is given.
#ifndef TRIBUTARY_SERVER_OPERATOR_RUN_FILE_H_
#define TRIBUTARY_SERVER_OPERATOR_RUN_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::op {

struct RunFile {
  v1::RunPlan plan;
  std::string warm_start_file;  // a model file on this machine whose weights the run begins with; empty = none
};

// `name` is how faults call the file; `overrides` are key.path=value assignments on top of it.
// INVALID_ARGUMENT: one `name:line: fault` a line.
absl::StatusOr<RunFile> ParseRunFile(std::string_view text, const std::string& name,
                                     const std::vector<std::string>& overrides = {});

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_RUN_FILE_H_
