// A model file (safetensors). What is read can be written and is the same again.
#include "common/base/bytes.h"
#include "common/learning/model_file.h"
#include "tests/fuzz/fuzz.h"
#include "tributary/v1/model.pb.h"

FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  const auto file = learning::DecodeModelFile(input);
  if (!file.ok()) return;
  v1::ModelDescription proto;
  fuzz::Require(file->ParseDescription(&proto).ok() && file->Model().ok());
  const auto again = learning::EncodeModelFile(proto, file->parameters, file->metadata);
  fuzz::Require(again.ok());
  const auto twice = learning::DecodeModelFile(*again);
  fuzz::Require(twice.ok() && twice->parameters == file->parameters);
}
