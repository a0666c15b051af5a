// A wall clock that a test sets while the program runs: LD_PRELOAD this, and name in TRIBUTARY_TEST_CLOCK a file of 8
// bytes, by how many nanoseconds the wall clock is ahead (int64, of this machine). Writing the file is the step.
//
// Everything that asks for the wall clock is answered with the offset; the monotonic clock is left alone, as a step of
// the real clock leaves it. What sleeps until a point of the wall clock (gRPC's timers do, by way of Abseil's futex)
// wakes when the shifted clock gets there, and looks again every 20 ms, so that a step moves its end as the kernel's
// would.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kSlice = 20'000'000;

template <class Function>
Function Next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

volatile const int64_t* Map() {
  const char* path = std::getenv("TRIBUTARY_TEST_CLOCK");
  const int fd = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* at = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  return at == MAP_FAILED ? nullptr : static_cast<const int64_t*>(at);
}

int64_t Offset() {
  static const volatile int64_t* const offset = Map();
  return offset == nullptr ? 0 : *offset;
}

int64_t ToNanos(const timespec& t) { return t.tv_sec * kSecond + t.tv_nsec; }

timespec FromNanos(int64_t ns) {
  timespec t{};
  t.tv_sec = ns / kSecond;
  t.tv_nsec = ns % kSecond;
  return t;
}

int RealTime(clockid_t clock, timespec* out) {
  static const auto next = Next<int (*)(clockid_t, timespec*)>("clock_gettime");
  return next(clock, out);
}

int64_t Shifted() {
  timespec now{};
  RealTime(CLOCK_REALTIME, &now);
  return ToNanos(now) + Offset();
}

using Syscall = long (*)(long, ...);

Syscall RealSyscall() {
  static const auto next = Next<Syscall>("syscall");
  return next;
}

long WaitByWallClock(const long (&a)[6]) {
  const int64_t until = ToNanos(*reinterpret_cast<const timespec*>(a[3]));
  for (;;) {
    const int64_t now = Shifted();
    if (now >= until) {
      errno = ETIMEDOUT;
      return -1;
    }
    const timespec slice = FromNanos(now - Offset() + std::min(until - now, kSlice));
    const long done = RealSyscall()(SYS_futex, a[0], a[1], a[2], reinterpret_cast<long>(&slice), a[4], a[5]);
    if (done == 0 || errno != ETIMEDOUT) return done;
  }
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* out) noexcept {
  const int done = RealTime(clock, out);
  if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    *out = FromNanos(ToNanos(*out) + Offset());
  return done;
}

int gettimeofday(timeval* out, void*) noexcept {
  const timespec now = FromNanos(Shifted());
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) noexcept {
  const time_t now = FromNanos(Shifted()).tv_sec;
  if (out != nullptr) *out = now;
  return now;
}

int timespec_get(timespec* out, int base) noexcept {
  *out = FromNanos(Shifted());
  return base;
}

long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) != 0 && a[3] != 0) return WaitByWallClock(a);
  return RealSyscall()(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

}  // extern "C"
