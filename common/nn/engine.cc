#include "common/nn/engine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/nn/kernels/bf16.h"
#include "common/nn/kernels/kernels.h"

namespace tributary::nn {
namespace {

int UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// cgroup v2's "quota period" or v1's two files; 0 when there is no limit.
double CgroupCores() {
  std::string quota;
  double period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> quota >> period) {
    return quota == "max" || period <= 0 ? 0 : std::atof(quota.c_str()) / period;
  }
  double v1_quota = 0;
  std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (quota_file >> v1_quota && period_file >> period && v1_quota > 0 && period > 0) return v1_quota / period;
  return 0;
}

}  // namespace

std::string EngineName(Precision precision) {
  const bool bf16 = precision == Precision::kBf16;
  TRB_CHECK(!bf16 || HasBf16());
  return absl::StrCat(TRIBUTARY_VERSION, "/", bf16 ? FindBf16Kernels()->isa : FindKernels()->isa,
                      bf16 ? "/bf16" : "/float32");
}

std::string DescribeEngines() {
  const std::string bf16 = HasBf16() ? absl::StrCat(" and ", EngineName(Precision::kBf16)) : ", no bf16";
  return absl::StrCat(EngineName(), bf16, ", ", DefaultThreads(), " threads");
}

bool HasBf16() { return FindBf16Kernels() != nullptr; }

absl::Status NoBf16() {
  return absl::FailedPreconditionError(
      "this machine cannot train in bf16: it takes a CPU with AMX or AVX-512-BF16 and, for AMX, a system that grants "
      "tiles; precision = \"auto\" falls back to float32");
}

absl::Status CheckEngine() {
  const char* wanted = std::getenv("TRIBUTARY_ISA");
  const bool bf16 = HasBf16();  // asks for AMX's tiles now, before threads start
  if (wanted == nullptr || bf16 || FindKernels(wanted) != nullptr) return absl::OkStatus();
  std::vector<std::string> all = SupportedIsas(Precision::kBf16);
  for (std::string& isa : SupportedIsas()) all.push_back(std::move(isa));
  return absl::InvalidArgumentError(
      absl::StrCat("TRIBUTARY_ISA=", wanted, " is not one that this CPU can run: ", absl::StrJoin(all, ", ")));
}

std::vector<std::string> SupportedIsas(Precision precision) {
  size_t count = 0;
  std::vector<std::string> names;
  if (precision == Precision::kBf16) {
    const Bf16Kernels* const* tables = SupportedBf16Kernels(&count);
    for (size_t i = 0; i < count; ++i) names.emplace_back(tables[i]->isa);
    return names;
  }
  const Kernels* const* tables = SupportedKernels(&count);
  for (size_t i = 0; i < count; ++i) names.emplace_back(tables[i]->isa);
  return names;
}

int DefaultThreads() {
  int cores = UsableCores();
  const char* wanted = std::getenv("OMP_NUM_THREADS");
  if (wanted != nullptr && std::atoi(wanted) > 0) cores = std::min(cores, std::atoi(wanted));
  const double quota = CgroupCores();
  if (quota <= 0) return cores;
  return std::clamp(static_cast<int>(quota + 0.999), 1, cores);
}

void BoundThreadSpinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "2000", 1);  // tens of microseconds: a training step's gaps
  setenv("KMP_BLOCKTIME", "0", 0);      // the same for LLVM's OpenMP, which counts milliseconds
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length <= 0) return;
  path[length] = '\0';
  execv(path, argv);
}

}  // namespace tributary::nn
