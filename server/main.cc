// tributary-coordinator: runs a federation. See server/coordinator_commands.h.
#include <csignal>
#include <string_view>

#include "common/nn/engine.h"
#include "server/coordinator_commands.h"
#include "server/service/enrolment_front.h"

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit then fails with EFBIG, and says so
  if (argc > 1 && std::string_view(argv[1]) == tributary::service::kEnrolmentFrontVerb) {
    return tributary::service::RunEnrolmentFront(argc, argv);
  }
  tributary::nn::BoundThreadSpinning(argv);
  return tributary::RunCoordinatorCommand(argc, argv);
}
