// tributary-coordinator: runs a federation. See server/coordinator_commands.h.
#include "server/coordinator_commands.h"

int main(int argc, char** argv) { return tributary::RunCoordinatorCommand(argc, argv); }
