// `tributary-coordinator ca stage|activate|retire|status`: how an operator replaces the federation's authority, on the
// directory beside a running coordinator, which takes it in at SIGHUP (service/authority_intake.h) or at its start.
// Threads: one. Prints to stdout; errors are returned.
#ifndef TRIBUTARY_SERVER_CA_COMMANDS_H_
#define TRIBUTARY_SERVER_CA_COMMANDS_H_

#include <string>

#include "common/base/status.h"

namespace tributary {

struct CaArguments {
  std::string dir;
  bool json = false;
  bool leave_behind = false;  // go on without those who have not followed
};

absl::Status CaStage(const CaArguments& a);
// FAILED_PRECONDITION, with their names, while clients have not confirmed the new authority; see leave_behind.
absl::Status CaActivate(const CaArguments& a);
// FAILED_PRECONDITION, with their names, while clients or operators hold certificates of the old one; see leave_behind.
absl::Status CaRetire(const CaArguments& a);
absl::Status CaStatus(const CaArguments& a);

}  // namespace tributary

#endif  // TRIBUTARY_SERVER_CA_COMMANDS_H_
