// `tributary demo`: the whole system on one machine, through the same programs and commands that a person would use.
#ifndef TRIBUTARY_SERVER_OPERATOR_DEMO_H_
#define TRIBUTARY_SERVER_OPERATOR_DEMO_H_

#include <string>

#include "common/base/status.h"
#include "server/operator/context.h"

namespace tributary::op {

struct DemoOptions {
  std::string data = "synthetic";
  int clients = 5;
  int rounds = 10;
  std::string model_path = "model-demo.safetensors";
  std::string program_directory;  // where tributary-coordinator and tributary-client are
};

// Everything that it started has ended, and its directory is gone, when this returns: also after an error or Ctrl-C.
absl::Status RunDemo(const DemoOptions& options, Context* context);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_DEMO_H_
