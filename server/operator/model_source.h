// A model from wherever a person names it: a model file here, or a run of the coordinator's.
#ifndef TRIBUTARY_SERVER_OPERATOR_MODEL_SOURCE_H_
#define TRIBUTARY_SERVER_OPERATOR_MODEL_SOURCE_H_

#include <map>
#include <string>

#include "common/base/status.h"
#include "common/learning/model_file.h"
#include "server/operator/context.h"

namespace tributary::op {

// What is written into an exported file beside the model: run, round, digests.
std::map<std::string, std::string> ExportMetadata(const v1::ModelHeader& header);

// float32 little-endian bytes as floats. DATA_LOSS when they are no whole number of floats.
absl::StatusOr<std::vector<float>> ParametersFromBytes(const std::string& bytes);

// `name` is a file if one is there under that name, else "RUN" (its best round) or "RUN@ROUND" at the coordinator.
absl::StatusOr<learning::ModelFile> OpenModel(const std::string& name, const Context& context);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_MODEL_SOURCE_H_
