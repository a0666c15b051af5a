// `tributary`: the operator's command line. Everything it does goes over gRPC to the coordinator; model eval, predict,
// simulate and demo work here.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "common/nn/engine.h"
#include "common/rpc/grpc_log.h"
#include "server/operator/cli.h"

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit then fails with EFBIG, and says so
  tributary::nn::BoundThreadSpinning(argv);
  tributary::rpc::TakeOverGrpcLog(tributary::LogLevel::kDebug);
  tributary::op::Context context{std::cout, std::cerr};
  context.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  if (const char* dir = std::getenv("TRIBUTARY_DIR")) context.dir = dir;
  context.connect = tributary::op::OperatorApi::Connect;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return tributary::op::RunCommandLine({argv + 1, argv + argc}, self.parent_path().string(), &context);
}
