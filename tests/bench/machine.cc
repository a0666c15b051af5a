#include "tests/bench/machine.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/nn/engine.h"

namespace tributary::bench {
namespace {

std::string CpuName() {
  std::ifstream in("/proc/cpuinfo");
  std::string line, name = "unknown", family;
  while (std::getline(in, line) && !line.empty()) {
    const std::string value = line.substr(std::min(line.size(), line.find(':') + 2));
    if (line.starts_with("model name")) name = value;
    if (line.starts_with("cpu family")) absl::StrAppend(&family, ", family ", value);
    if (line.starts_with("model\t")) absl::StrAppend(&family, ", model ", value);
  }
  return name + family;
}

std::string Load() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? absl::StrCat(load) : "unknown";
}

}  // namespace

std::map<std::string, std::string> DescribeMachine() {
  std::map<std::string, std::string> facts = {
      {"cpu", CpuName()},        {"cores", absl::StrCat(nn::DefaultThreads())},
      {"load", Load()},          {"engine", nn::EngineName()},
      {"compiler", __VERSION__}, {"flags", TRIBUTARY_BENCH_FLAGS},
  };
  if (nn::HasBf16()) facts["engine_bf16"] = nn::EngineName(nn::Precision::kBf16);
  return facts;
}

void PrintMachine() {
#if !defined(NDEBUG) || !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  std::fprintf(stderr,
               "***************************************************************************\n"
               "*** WARNING: a debug or sanitizer build. THESE FIGURES MEAN NOTHING.     ***\n"
               "***************************************************************************\n");
#endif
  for (const auto& [name, value] : DescribeMachine()) std::fprintf(stderr, "%-12s %s\n", name.c_str(), value.c_str());
}

}  // namespace tributary::bench
