#include "server/operator/model_source.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"

namespace tributary::op {

std::map<std::string, std::string> ExportMetadata(const v1::ModelHeader& h) {
  return {{"federation", h.federation()},       {"run", h.run_id()},
          {"run_name", h.run_name()},           {"round", absl::StrCat(h.round())},
          {"record_sha256", h.record_sha256()}, {"tributary_version", TRIBUTARY_VERSION}};
}

absl::StatusOr<std::vector<float>> ParametersFromBytes(const std::string& bytes) {
  if (bytes.size() % sizeof(float) != 0) return absl::DataLossError("the model is no whole number of float32 values");
  std::vector<float> parameters(bytes.size() / sizeof(float));
  std::memcpy(parameters.data(), bytes.data(), bytes.size());
  return parameters;
}

absl::StatusOr<learning::ModelFile> OpenModel(const std::string& name, const Context& context) {
  if (FileExists(name)) return learning::ReadModelFile(name);
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<OperatorApi> api, context.Connect());
  const size_t at = name.rfind('@');
  v1::ExportModelRequest request;
  request.set_run(name.substr(0, at));
  request.set_round(at == std::string::npos ? "best" : name.substr(at + 1));
  const absl::StatusOr<ExportedModel> model = api->ExportModel(request);
  if (absl::IsNotFound(model.status())) return Annotate(model.status(), absl::StrCat("no file ", name, ", and"));
  TRB_RETURN_IF_ERROR(model.status());
  TRB_ASSIGN_OR_RETURN(const std::vector<float> parameters, ParametersFromBytes(model->parameters));
  TRB_ASSIGN_OR_RETURN(const std::string bytes,
                       learning::EncodeModelFile(model->header.model(), parameters, ExportMetadata(model->header)));
  return learning::DecodeModelFile(bytes);
}

}  // namespace tributary::op
