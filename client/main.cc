// `tributary-client`: the daemon of a data holder, and the commands around it.
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "client/commands/commands.h"
#include "common/nn/engine.h"
#include "common/rpc/grpc_log.h"

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit then fails with EFBIG, and says so
  tributary::nn::BoundThreadSpinning(argv);
  tributary::rpc::TakeOverGrpcLog(tributary::LogLevel::kDebug);
  tributary::commands::Console console{std::cin, std::cout, std::cerr, isatty(STDIN_FILENO) == 1};
  return tributary::commands::RunCommandLine({argv + 1, argv + argc}, &console);
}
