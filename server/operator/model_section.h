// The `model` and `classes` part of a run file. Keras' layer names; see docs/reference/config.md.
#ifndef TRIBUTARY_SERVER_OPERATOR_MODEL_SECTION_H_
#define TRIBUTARY_SERVER_OPERATOR_MODEL_SECTION_H_

#include <string>

#include "common/base/toml_reader.h"
#include "tributary/v1/model.pb.h"

namespace tributary::op {

// Reads `model = {...}` of `root`; faults go to the reader with their lines. `from` receives model.from ("" when
// absent).
v1::ModelDescription ReadModelSection(TomlTable* root, std::string* from);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_MODEL_SECTION_H_
