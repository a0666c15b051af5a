// tributary-coordinator: runs a federation. See server/coordinator_commands.h.
#include <csignal>

#include "common/nn/engine.h"
#include "server/coordinator_commands.h"

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit then fails with EFBIG, and says so
  tributary::nn::BoundThreadSpinning(argv);
  return tributary::RunCoordinatorCommand(argc, argv);
}
