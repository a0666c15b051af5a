// Which engine a process gets: the choice is made once a process, so each of these asks one of its own.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "common/nn/engine.h"
#include "common/nn/kernels/bf16.h"
#include "common/nn/kernels/kernels.h"
#include "tests/common/nn/whole_network.h"

#if defined(__x86_64__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstddef>
#endif

namespace tributary::nn {
namespace {

// What the child below says of itself.
struct Answer {
  std::string float32, bf16;  // engine names, or "none"
  std::string float32_table, bf16_table;
  std::string check;  // whether CheckEngine is content
};

// What the children of the tests below run; their parents read what it prints.
TEST(EngineChild, TrainsInItsBestPrecisionAndSaysInWhich) {
  const std::string check = CheckEngine().ok() ? "ok" : "refused";
  const bool bf16 = HasBf16();
  const ModelDescription model = PresetModel("keras-cnn");
  auto network =
      Network::Create(model, {.max_batch = 8, .precision = bf16 ? Precision::kBf16 : Precision::kFloat32}).value();
  network->InitializeGlorot(Seed{1});
  const double loss = network->TrainBatch(ToBatch(Examples(model, 8, 1)), {}).loss_sum;
  EXPECT_TRUE(std::isfinite(loss));
  std::printf("answer %s %s %s %s %s\n", EngineName().c_str(), bf16 ? EngineName(Precision::kBf16).c_str() : "none",
              FindKernels()->isa, bf16 ? FindBf16Kernels()->isa : "none", check.c_str());
}

// Runs in the child, between fork and exec: system calls only.
using Prepare = bool (*)();

// Does not return.
void BecomeAnswer(const char* isa, Prepare prepare, int out) {
  isa == nullptr ? unsetenv("TRIBUTARY_ISA") : setenv("TRIBUTARY_ISA", isa, 1);
  dup2(out, STDOUT_FILENO);
  if (prepare != nullptr && !prepare()) _exit(3);
  execl("/proc/self/exe", "child", "--gtest_filter=EngineChild.*", static_cast<char*>(nullptr));
  _exit(2);
}

Answer AskChild(const char* isa, Prepare prepare = nullptr) {
  int ends[2];
  EXPECT_EQ(0, pipe(ends));
  const pid_t child = fork();
  if (child == 0) BecomeAnswer(isa, prepare, ends[1]);
  close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof(buffer))) > 0;) said.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(child, waitpid(child, &status, 0));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << said;
  const size_t at = said.find("answer ");
  std::istringstream words(said.substr(at == std::string::npos ? said.size() : at + 7));
  Answer answer;
  words >> answer.float32 >> answer.bf16 >> answer.float32_table >> answer.bf16_table >> answer.check;
  return answer;
}

std::string Name(const std::string& isa, const char* precision) {
  return absl::StrCat(TRIBUTARY_VERSION, "/", isa, "/", precision);
}

bool CpuHas(const std::string& flag) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word != "flags" && word != "Features") continue;
    while (words >> word) {
      if (word == flag) return true;
    }
    return false;
  }
  return false;
}

bool HasFloat32(const std::string& isa) {
  const std::vector<std::string> all = SupportedIsas();
  return std::find(all.begin(), all.end(), isa) != all.end();
}

TEST(EngineChildTest, ASetThatIsNamedIsTheOneThatComputesAndTheEngineSaysSo) {
  for (const std::string& isa : SupportedIsas()) {
    const Answer answer = AskChild(isa.c_str());
    EXPECT_EQ(isa, answer.float32_table);
    EXPECT_EQ(Name(isa, "float32"), answer.float32);
    EXPECT_EQ("none", answer.bf16_table) << isa << " is a float32 set: bf16 is more than it";
    EXPECT_EQ("none", answer.bf16);
    EXPECT_EQ("ok", answer.check);
  }
  for (const std::string& isa : SupportedIsas(Precision::kBf16)) {
    const Answer answer = AskChild(isa.c_str());
    EXPECT_EQ(isa, answer.bf16_table);
    EXPECT_EQ(Name(isa, "bf16"), answer.bf16);
    EXPECT_EQ(SupportedIsas()[0], answer.float32_table);
    EXPECT_EQ("ok", answer.check);
  }
}

TEST(EngineChildTest, NothingNamedIsTheBestOfThisCpu) {
  const Answer answer = AskChild(nullptr);
  EXPECT_EQ(SupportedIsas()[0], answer.float32_table);
  EXPECT_EQ(Name(answer.float32_table, "float32"), answer.float32);
#if defined(__x86_64__)
  if (CpuHas("avx512f") && CpuHas("avx512bw") && CpuHas("avx512dq") && CpuHas("avx512vl")) {
    EXPECT_EQ("avx512", answer.float32_table.substr(0, 6));
  } else if (CpuHas("avx2") && CpuHas("fma")) {
    EXPECT_EQ("avx2", answer.float32_table);
  }
#elif defined(__aarch64__)
  EXPECT_EQ("neon", answer.float32_table);
#endif
}

TEST(EngineChildTest, AnUnknownSetIsRefusedAndTheBestOneStands) {
  const Answer answer = AskChild("abacus");
  EXPECT_EQ("refused", answer.check);
  EXPECT_EQ(SupportedIsas()[0], answer.float32_table);
  EXPECT_EQ("none", answer.bf16);
}

#if defined(__x86_64__)
TEST(EngineChildTest, Avx2LeavesNoBf16) {
  if (!HasFloat32("avx2")) GTEST_SKIP() << "this CPU has no AVX2";
  const Answer answer = AskChild("avx2");
  EXPECT_EQ(Name("avx2", "float32"), answer.float32);
  EXPECT_EQ("none", answer.bf16);
}

TEST(EngineChildTest, OnACpuWithTilesTheBf16EngineIsAmx) {
  if (!CpuHas("amx_tile") || !CpuHas("amx_bf16") || !CpuHas("avx512_bf16")) GTEST_SKIP() << "this CPU has no AMX";
  if (!DetectBf16().tiles_granted) GTEST_SKIP() << "this system does not grant tiles";
  const Answer answer = AskChild(nullptr);
  EXPECT_EQ("amx", answer.bf16_table);
  EXPECT_EQ(Name("amx", "bf16"), answer.bf16);
}

// From here on arch_prctl(ARCH_REQ_XCOMP_PERM) is refused, as a container's filter may do.
bool DenyTiles() {
  constexpr unsigned kRequestPermission = 0x1023;
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),  // its lower half
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kRequestPermission, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {static_cast<unsigned short>(std::size(rules)), rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(EngineChildTest, ASystemThatRefusesTilesGetsAvx512Bf16) {
  if (!DetectBf16().amx) GTEST_SKIP() << "this CPU has no AMX";
  const Answer answer = AskChild(nullptr, DenyTiles);
  EXPECT_EQ("avx512bf16", answer.bf16_table);
  EXPECT_EQ(Name("avx512bf16", "bf16"), answer.bf16);
  EXPECT_EQ("ok", answer.check);
  EXPECT_EQ(SupportedIsas()[0], answer.float32_table) << "float32 is not touched by it";
  const Answer named = AskChild("amx", DenyTiles);
  EXPECT_EQ("none", named.bf16_table);
  EXPECT_EQ("refused", named.check) << "amx was named, and is not to be had";
}
#endif

}  // namespace
}  // namespace tributary::nn
