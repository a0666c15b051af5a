// The one place where training becomes parallel. Tasks are numbered by shape alone; which thread runs one, and when, is
// free, so a task may depend on its number and never on its thread, and two tasks never write the same place.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_PARALLEL_H_
#define TRIBUTARY_COMMON_NN_KERNELS_PARALLEL_H_

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace tributary::nn {

// Treats denormal numbers as zero while it lives, on this thread, and puts the mode back. Adam's moments decay into
// denormals otherwise, and a step on them takes many times as long.
class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }  // FTZ, DAZ
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  const unsigned saved_;
#elif defined(__aarch64__)
  FlushDenormals() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    __asm__ volatile("msr fpcr, %0" : : "r"(saved_ | (uint64_t{1} << 24)));  // FZ
  }
  ~FlushDenormals() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }

 private:
  uint64_t saved_;
#else
  FlushDenormals() {}  // a CPU that we know no switch of: slower, not wrong
#endif
 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

// What a test asks of every parallel loop of the process, and sees of it.
struct ParallelProbe {
  bool reverse = false;              // run the tasks from the last to the first: no bit may change
  std::atomic<int> largest_team{0};  // threads that a region really ran on
};
// Null but in tests. Set it while no loop runs.
inline std::atomic<ParallelProbe*> parallel_probe{nullptr};

// Calls fn(task, worker) for every task below `tasks`, worker below `threads`: an index for scratch. fn must not throw.
// With one thread (or one task) there is no parallel region at all, so thread sanitizer sees nothing of libgomp.
template <class Fn>
void ParallelFor(int threads, size_t tasks, const Fn& fn) {
  ParallelProbe* const probe = parallel_probe.load(std::memory_order_relaxed);
  const bool reverse = probe != nullptr && probe->reverse;
  const auto at = [&](size_t task) { return reverse ? tasks - 1 - task : task; };
  if (threads <= 1 || tasks <= 1) {
    const FlushDenormals flush;
    for (size_t task = 0; task < tasks; ++task) fn(at(task), size_t{0});
    return;
  }
  const int used = static_cast<int>(std::min(static_cast<size_t>(threads), tasks));
#pragma omp parallel num_threads(used)
  {
    const FlushDenormals flush;
    const size_t worker = static_cast<size_t>(omp_get_thread_num());
    if (probe != nullptr && worker == 0)
      probe->largest_team = std::max(probe->largest_team.load(), omp_get_num_threads());
#pragma omp for schedule(dynamic, 1)
    for (size_t task = 0; task < tasks; ++task) fn(at(task), worker);
  }
}

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_KERNELS_PARALLEL_H_
