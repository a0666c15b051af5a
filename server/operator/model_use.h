// A trained model used on this machine: its measures on a data set, its word on single images. No network.
#ifndef TRIBUTARY_SERVER_OPERATOR_MODEL_USE_H_
#define TRIBUTARY_SERVER_OPERATOR_MODEL_USE_H_

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/learning/model_file.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::op {

struct EvaluationSource {
  std::string data;    // path, or "synthetic"
  std::string format;  // empty = guessed
  int threads = 1;
};

absl::StatusOr<v1::EvaluationDocument> EvaluateModel(const learning::ModelFile& model, const EvaluationSource& source);
// Images are decoded to the model's size and channels. An image that does not decode fails the call, naming the file.
absl::StatusOr<v1::PredictionDocument> PredictFiles(const learning::ModelFile& model,
                                                    const std::vector<std::string>& files);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_MODEL_USE_H_
