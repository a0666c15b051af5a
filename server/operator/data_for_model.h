// Data from a path, shaped for a model: its size, channels and classes. Faults name the file and the place in it.
#ifndef TRIBUTARY_SERVER_OPERATOR_DATA_FOR_MODEL_H_
#define TRIBUTARY_SERVER_OPERATOR_DATA_FOR_MODEL_H_

#include <string>

#include "common/base/status.h"
#include "common/data/dataset.h"
#include "tributary/v1/model.pb.h"

namespace tributary::op {

struct DataPath {
  std::string path;    // or "synthetic"
  std::string format;  // empty = guessed
  bool test = false;   // the test part, where the path holds both
};

absl::StatusOr<data::Dataset> LoadForModel(const v1::ModelDescription& model, const DataPath& from);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_DATA_FOR_MODEL_H_
