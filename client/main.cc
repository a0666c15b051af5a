// `tributary-client`: the daemon of a data holder, and the commands around it.
#include <unistd.h>

#include <iostream>

#include "client/commands/commands.h"
#include "common/nn/engine.h"

int main(int argc, char** argv) {
  tributary::nn::BoundThreadSpinning(argv);
  tributary::commands::Console console{std::cin, std::cout, std::cerr, isatty(STDIN_FILENO) == 1};
  return tributary::commands::RunCommandLine({argv + 1, argv + argc}, &console);
}
