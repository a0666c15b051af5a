// A trained model as a file for other programs: safetensors (https://huggingface.co/docs/safetensors), which numpy,
// torch and Keras can open. Tensors are named and laid out as in Keras ("conv2d_1/kernel", HWIO); __metadata__ holds
//   format = "tributary/model/v1", model = the ModelDescription as protobuf JSON, and whatever the writer adds, e.g.
//   run, round, model_sha256, classes.
// Threads: functions are pure but for the files they name.
#ifndef TRIBUTARY_COMMON_LEARNING_MODEL_FILE_H_
#define TRIBUTARY_COMMON_LEARNING_MODEL_FILE_H_

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/nn/model_description.h"

namespace tributary::v1 {
class ModelDescription;
}

namespace tributary::learning {

struct ModelFile {
  std::string description_json;                 // protobuf JSON of tributary.v1.ModelDescription
  std::vector<float> parameters;                // flat, Keras layout
  std::map<std::string, std::string> metadata;  // the writer's own; without "format" and "model"

  // The description again, as a message and checked.
  absl::Status ParseDescription(v1::ModelDescription* proto) const;
  absl::StatusOr<nn::ModelDescription> Model() const;
};

// The file's bytes. Adds nothing of its own to `metadata` but "format", "model" and "parameters_sha256"; the same input
// gives the same bytes. INVALID_ARGUMENT: a description that is not valid, or parameters that do not fit it.
absl::StatusOr<std::string> EncodeModelFile(const v1::ModelDescription& model, std::span<const float> parameters,
                                            const std::map<std::string, std::string>& metadata);

// INVALID_ARGUMENT, saying where, unless the file is one that EncodeModelFile could have written for its description
// (another order of tensors is fine): header length and JSON, dtype F32, every tensor of the model once with its shape,
// offsets inside the data, no overlap, no gap, finite values.
absl::StatusOr<ModelFile> DecodeModelFile(std::string_view bytes);

// Durable write (common/base/files.h); errors carry the path.
absl::Status WriteModelFile(const std::string& path, const v1::ModelDescription& model,
                            std::span<const float> parameters, const std::map<std::string, std::string>& metadata);
absl::StatusOr<ModelFile> ReadModelFile(const std::string& path);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_MODEL_FILE_H_
