#include "common/base/memory_limit.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"

namespace tributary {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kMaxFileBytes = 64 * 1024;

// "max", or a number.
uint64_t ReadLimit(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxFileBytes);
  uint64_t bytes = 0;
  return text.ok() && absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &bytes) ? bytes : kNoLimit;
}

// Of "0::/a/b" the "/a/b"; empty when this process is in no group of version 2.
std::string GroupPath(const std::string& membership) {
  const absl::StatusOr<std::string> text = ReadFile(membership, kMaxFileBytes);
  if (!text.ok()) return "";
  for (const absl::string_view line : absl::StrSplit(*text, '\n'))
    if (absl::StartsWith(line, "0::/")) return std::string(line.substr(3));
  return "";
}

}  // namespace

uint64_t CgroupMemoryBytes(const std::string& membership, const std::string& root) {
  std::string group = GroupPath(membership);
  if (group.empty()) return kNoLimit;
  uint64_t least = kNoLimit;
  for (;;) {
    least = std::min(least, ReadLimit(absl::StrCat(root, group, "/memory.max")));
    if (group.empty()) return least;
    group.resize(group.rfind('/'));
  }
}

uint64_t MemoryLimitBytes() {
  const uint64_t physical =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return std::min(physical, CgroupMemoryBytes("/proc/self/cgroup", "/sys/fs/cgroup"));
}

}  // namespace tributary
