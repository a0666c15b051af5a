// tributary-coordinator: runs a federation. See server/coordinator_commands.h.
#include "common/nn/engine.h"
#include "server/coordinator_commands.h"

int main(int argc, char** argv) {
  tributary::nn::BoundThreadSpinning(argv);
  return tributary::RunCoordinatorCommand(argc, argv);
}
