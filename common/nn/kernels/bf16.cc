#include "common/nn/kernels/bf16.h"

#include <cstdlib>
#include <cstring>

#include "common/nn/kernels/bf16_simd.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tributary::nn {
namespace {

#if defined(__x86_64__)

// Which register files the system saves (XCR0), 0 when it does not say.
uint64_t SavedState() {
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_OSXSAVE) == 0) return 0;
  __asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (static_cast<uint64_t>(edx) << 32) | eax;
}

// Linux keeps tiles (state 18) from a process until it asks: Documentation/arch/x86/xstate.rst.
bool AskForTiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

#endif

struct Tables {
  Tables() {
    count = ChooseBf16(DetectBf16(), all);
    chosen = count == 0 ? nullptr : all[0];
    const char* wanted = std::getenv("TRIBUTARY_ISA");
    if (wanted == nullptr) return;
    // A set that TRIBUTARY_ISA names is the most that may be used; the float32 sets have no bf16.
    chosen = nullptr;
    for (size_t i = 0; i < count; ++i) {
      if (std::strcmp(all[i]->isa, wanted) == 0) chosen = all[i];
    }
  }
  const Bf16Kernels* all[2] = {};
  size_t count = 0;
  const Bf16Kernels* chosen = nullptr;
};

const Tables& AllTables() {
  static const Tables tables;
  return tables;
}

}  // namespace

Bf16Support DetectBf16() {
  Bf16Support support;
#if defined(__x86_64__)
  // Intel's manual, volume 1, chapters 13 (XSAVE) and 18 (AMX): bits 1, 2, 5-7 of XCR0 are AVX-512's, 17 and 18 AMX's.
  constexpr uint64_t kVectors = 0xE6, kTiles = 3u << 17;
  constexpr unsigned kAvx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
  constexpr unsigned kAmx = (1u << 22) | (1u << 24);  // AMX-BF16, AMX-TILE
  constexpr unsigned kAvx512Bf16 = 1u << 5;
  const uint64_t saved = SavedState();
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return support;
  const bool vectors = (saved & kVectors) == kVectors && (ebx & kAvx512) == kAvx512;
  support.amx = (saved & kTiles) == kTiles && (edx & kAmx) == kAmx;
  if (eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) {
    support.avx512bf16 = vectors && (eax & kAvx512Bf16) != 0;
  }
  support.tiles_granted = support.amx && AskForTiles();
#endif
  return support;
}

size_t ChooseBf16(const Bf16Support& support, const Bf16Kernels** tables) {
  size_t count = 0;
  if (!support.avx512bf16) return 0;
  if (support.amx && support.tiles_granted && AmxKernels() != nullptr) tables[count++] = AmxKernels();
  if (Avx512Bf16Kernels() != nullptr) tables[count++] = Avx512Bf16Kernels();
  return count;
}

const Bf16Kernels* FindBf16Kernels(const char* isa) {
  const Tables& tables = AllTables();
  if (isa == nullptr) return tables.chosen;
  for (size_t i = 0; i < tables.count; ++i) {
    if (std::strcmp(tables.all[i]->isa, isa) == 0) return tables.all[i];
  }
  return nullptr;
}

const Bf16Kernels* const* SupportedBf16Kernels(size_t* count) {
  *count = AllTables().count;
  return AllTables().all;
}

}  // namespace tributary::nn
