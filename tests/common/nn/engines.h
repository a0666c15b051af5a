// What tests run on: every engine of this machine, and several numbers of threads.
#ifndef TRIBUTARY_TESTS_COMMON_NN_ENGINES_H_
#define TRIBUTARY_TESTS_COMMON_NN_ENGINES_H_

#include <string>
#include <vector>

#include "common/nn/engine.h"

namespace tributary::nn {

#if defined(__SANITIZE_THREAD__)
constexpr int kManyThreads[] = {1};  // thread sanitizer does not see libgomp's barriers
#else
constexpr int kManyThreads[] = {1, 2, 7};
#endif

struct Engine {
  Precision precision;
  std::string isa;
  std::string name() const { return (precision == Precision::kBf16 ? "bf16_" : "float32_") + isa; }
};

inline std::vector<Engine> Engines() {
  std::vector<Engine> all;
  for (const Precision precision : {Precision::kFloat32, Precision::kBf16}) {
    for (const std::string& isa : SupportedIsas(precision)) all.push_back({precision, isa});
  }
  return all;
}

#define TRB_ON_EVERY_ENGINE(fixture)                                       \
  INSTANTIATE_TEST_SUITE_P(Engines, fixture, testing::ValuesIn(Engines()), \
                           [](const auto& variant) { return variant.param.name(); })

}  // namespace tributary::nn

#endif  // TRIBUTARY_TESTS_COMMON_NN_ENGINES_H_
