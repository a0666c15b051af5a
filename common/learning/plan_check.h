// Whether a plan can be run at all: every limit of plan.proto, all faults at once. The run file's reader and the
// coordinator both call it, so a plan means the same on either side. Says nothing about what is on a disk: blobs, data
// paths and other runs are the coordinator's to look up.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_LEARNING_PLAN_CHECK_H_
#define TRIBUTARY_COMMON_LEARNING_PLAN_CHECK_H_

#include <string>
#include <vector>

#include "common/base/status.h"

namespace tributary::v1 {
class RunPlan;
}

namespace tributary::learning {

struct PlanFault {
  std::string field;  // as the run file names it, e.g. "round.min_clients"
  std::string what;   // e.g. "is 5, more than round.clients, 3"
};

// In the plan's order; empty when it is fine.
std::vector<PlanFault> CheckPlan(const v1::RunPlan& plan);

// INVALID_ARGUMENT: one `field what` a line.
absl::Status ValidatePlan(const v1::RunPlan& plan);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_PLAN_CHECK_H_
