#include "common/nn/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "common/nn/kernels/kernels.h"

namespace tributary::nn {
namespace {

TEST(EngineTest, NameHasVersionInstructionSetAndPrecision) {
  const std::string name = EngineName();
  EXPECT_THAT(name, testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+/[a-z0-9]+/float32"));
  EXPECT_THAT(name, testing::HasSubstr(std::string("/") + FindKernels()->isa + "/"));
}

TEST(EngineTest, BestInstructionSetIsChosenUnlessOneIsNamed) {
  const std::vector<std::string> isas = SupportedIsas();
  ASSERT_FALSE(isas.empty());
  const char* wanted = std::getenv("TRIBUTARY_ISA");
  EXPECT_EQ(wanted == nullptr ? isas[0] : wanted, FindKernels()->isa);
  EXPECT_EQ(nullptr, FindKernels("abacus"));
  for (const std::string& isa : isas) EXPECT_EQ(isa, FindKernels(isa.c_str())->isa);
}

TEST(EngineTest, EveryTableIsComplete) {
  size_t count = 0;
  const Kernels* const* tables = SupportedKernels(&count);
  for (size_t i = 0; i < count; ++i) {
    // All members after the first three are function pointers.
    const auto* pointers = reinterpret_cast<const void* const*>(&tables[i]->gemm);
    const size_t members = (sizeof(Kernels) - offsetof(Kernels, gemm)) / sizeof(void*);
    for (size_t k = 0; k < members; ++k) EXPECT_NE(nullptr, pointers[k]) << tables[i]->isa << " member " << k;
  }
}

TEST(EngineDeathTest, EnvironmentChoosesALowerSetAndRefusesAnUnknownOne) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a new process: the choice is made once
  const char* before = std::getenv("TRIBUTARY_ISA");
  const std::string saved = before == nullptr ? "" : before;
  const std::string lowest = SupportedIsas().back();
  setenv("TRIBUTARY_ISA", lowest.c_str(), 1);
  EXPECT_EXIT(std::exit(CheckEngine().ok() && FindKernels()->isa == lowest ? 0 : 1), testing::ExitedWithCode(0), "");
  setenv("TRIBUTARY_ISA", "abacus", 1);
  EXPECT_EXIT(std::exit(!CheckEngine().ok() && FindKernels() == FindKernels(SupportedIsas()[0].c_str()) ? 0 : 1),
              testing::ExitedWithCode(0), "");
  unsetenv("TRIBUTARY_ISA");
  if (before != nullptr) setenv("TRIBUTARY_ISA", saved.c_str(), 1);
}

// This program itself is started anew, with a flag that makes it only list its tests and exit with 0.
void StartAnew() {
  if (std::freopen("/dev/null", "w", stdout) == nullptr) std::exit(2);  // its list is of no interest
  unsetenv("GOMP_SPINCOUNT");
  unsetenv("OMP_WAIT_POLICY");
  std::string name = "anew", list = "--gtest_list_tests";
  char* argv[] = {name.data(), list.data(), nullptr};
  BoundThreadSpinning(argv);
  std::exit(1);  // not reached
}

void StayAsItIs() {
  setenv("GOMP_SPINCOUNT", "7", 1);
  BoundThreadSpinning(nullptr);
  std::exit(3);
}

TEST(EngineDeathTest, SpinningIsBoundedByStartingAnewOnce) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(StartAnew(), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(StayAsItIs(), testing::ExitedWithCode(3), "");
}

TEST(EngineTest, ThreadsAreAtLeastOneAndAtMostWhatOpenMpIsTold) {
  EXPECT_GE(DefaultThreads(), 1);
  const char* before = std::getenv("OMP_NUM_THREADS");
  const std::string saved = before == nullptr ? "" : before;
  setenv("OMP_NUM_THREADS", "1", 1);
  EXPECT_EQ(1, DefaultThreads());
  setenv("OMP_NUM_THREADS", "nonsense", 1);
  EXPECT_GE(DefaultThreads(), 1);
  before == nullptr ? unsetenv("OMP_NUM_THREADS") : setenv("OMP_NUM_THREADS", saved.c_str(), 1);
}

}  // namespace
}  // namespace tributary::nn
