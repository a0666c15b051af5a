// The command line of tributary-coordinator.
// Threads: Run is called once, from main, before any other thread exists (it takes SIGINT and SIGTERM for itself).
#ifndef TRIBUTARY_SERVER_COORDINATOR_COMMANDS_H_
#define TRIBUTARY_SERVER_COORDINATOR_COMMANDS_H_

namespace tributary {

// Returns the exit code (common/base/error_report.h). Answers go to stdout, everything else to stderr.
int RunCoordinatorCommand(int argc, const char* const* argv);

}  // namespace tributary

#endif  // TRIBUTARY_SERVER_COORDINATOR_COMMANDS_H_
