// How much memory this process may use, and what a task needs at the least: a task that cannot fit is declined before
// the kernel kills the daemon for it.
// Threads: pure functions and reads of the system's files.
#ifndef TRIBUTARY_CLIENT_SESSION_MEMORY_LIMIT_H_
#define TRIBUTARY_CLIENT_SESSION_MEMORY_LIMIT_H_

#include <cstdint>
#include <string>

#include "client/session/refusal.h"
#include "common/nn/model_description.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::session {

// The machine's memory, or less where a cgroup (version 2) of this process or one above it allows less.
uint64_t MemoryLimitBytes();
// The smallest memory.max from this process' group up; UINT64_MAX when none is set or none can be read. `membership` is
// the file that names the group (/proc/self/cgroup), `root` where groups are mounted (/sys/fs/cgroup).
uint64_t CgroupMemoryBytes(const std::string& membership, const std::string& root);

// What training holds at once in arrays of the model's size: the model as it came, the base, the local model, its
// gradients, the optimiser's state and the delta. A lower bound: layers' values and the data come on top.
uint64_t LeastTrainingBytes(const nn::ModelDescription& model, const v1::TrainPlan& plan);

// training_failed, naming both numbers, when `limit` is below that.
Refusal CheckMemory(const nn::ModelDescription& model, const v1::TrainPlan& plan, uint64_t limit);

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_MEMORY_LIMIT_H_
