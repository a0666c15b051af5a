// How much memory this process may use.
// Threads: reads of the system's files; safe from any thread.
#ifndef TRIBUTARY_COMMON_BASE_MEMORY_LIMIT_H_
#define TRIBUTARY_COMMON_BASE_MEMORY_LIMIT_H_

#include <cstdint>
#include <string>

namespace tributary {

// The machine's memory, or less where a cgroup (version 2) of this process or one above it allows less.
uint64_t MemoryLimitBytes();
// The smallest memory.max from this process' group up; UINT64_MAX when none is set or none can be read. `membership` is
// the file that names the group (/proc/self/cgroup), `root` where groups are mounted (/sys/fs/cgroup).
uint64_t CgroupMemoryBytes(const std::string& membership, const std::string& root);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_MEMORY_LIMIT_H_
