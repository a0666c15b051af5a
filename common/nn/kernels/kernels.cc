#include "common/nn/kernels/kernels.h"

#include <cstdlib>
#include <cstring>

#include "common/nn/kernels/kernels_simd.h"

namespace tributary::nn {
namespace {

struct Tables {
  Tables() {
    count = SimdKernels(all, kMax);
    chosen = all[0];
    const char* wanted = std::getenv("TRIBUTARY_ISA");
    for (size_t i = 0; wanted != nullptr && i < count; ++i) {
      if (std::strcmp(all[i]->isa, wanted) == 0) chosen = all[i];
    }
  }
  static constexpr size_t kMax = 16;
  const Kernels* all[kMax];
  size_t count;
  const Kernels* chosen;
};

const Tables& AllTables() {
  static const Tables tables;
  return tables;
}

}  // namespace

const Kernels* FindKernels(const char* isa) {
  const Tables& tables = AllTables();
  if (isa == nullptr) return tables.chosen;
  for (size_t i = 0; i < tables.count; ++i) {
    if (std::strcmp(tables.all[i]->isa, isa) == 0) return tables.all[i];
  }
  return nullptr;
}

const Kernels* const* SupportedKernels(size_t* count) {
  *count = AllTables().count;
  return AllTables().all;
}

}  // namespace tributary::nn
