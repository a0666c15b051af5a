#include "common/learning/simulation_trace.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/learning/model_file.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::learning {

absl::StatusOr<std::unique_ptr<SimulationTrace>> SimulationTrace::Create(std::string directory,
                                                                         const v1::RunPlan& plan) {
  const std::string path = absl::StrCat(directory, "/trace.json");
  if (FileExists(path)) return absl::AlreadyExistsError(absl::StrCat(path, ": there is a trace already"));
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(plan, &json, options);
  if (!status.ok()) return absl::InternalError(absl::StrCat("plan: ", status.ToString()));
  TRB_RETURN_IF_ERROR(MakeDirectories(directory));
  TRB_RETURN_IF_ERROR(WriteFileDurably(path, absl::StrCat("{\"schema_version\": 1, \"plan\": ", json, "}\n")));
  return std::unique_ptr<SimulationTrace>(new SimulationTrace(std::move(directory), plan));
}

absl::Status SimulationTrace::WriteModel(uint64_t round, std::span<const float> parameters) const {
  return WriteModelFile(absl::StrFormat("%s/model-%04d.safetensors", directory_, round), plan_.model(), parameters,
                        {{"round", absl::StrCat(round)}});
}

void SimulationTrace::AppendStep(const StepRecord& record, double learning_rate, std::string* lines) {
  absl::StrAppendFormat(lines, "{\"step\": %d, \"learning_rate\": %.17g, \"loss\": %.17g, \"indices\": [%s]}\n",
                        record.step, learning_rate, record.loss, absl::StrJoin(record.indices, ", "));
}

absl::Status SimulationTrace::WriteClient(const LocalTask& task, const std::string& lines,
                                          std::span<const float> parameters) const {
  const std::string folder = absl::StrFormat("%s/round-%04d", directory_, task.round);
  TRB_RETURN_IF_ERROR(MakeDirectories(folder));
  const std::string path = absl::StrCat(folder, "/", task.client_name);
  TRB_RETURN_IF_ERROR(WriteFileDurably(absl::StrCat(path, ".jsonl"), lines));
  return WriteModelFile(absl::StrCat(path, ".safetensors"), plan_.model(), parameters,
                        {{"round", absl::StrCat(task.round)}, {"client", task.client_name}});
}

}  // namespace tributary::learning
