// A thin annotated wrapper over std::mutex. Clang's -Wthread-safety checks it (std::mutex alone is not checked), and
// thread-sanitizer understands it (Debian's absl::Mutex, not instrumented, looks like a race to it).
#ifndef TRIBUTARY_COMMON_BASE_MUTEX_H_
#define TRIBUTARY_COMMON_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define TRB_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define TRB_THREAD_ANNOTATION(x)
#endif
#define TRB_CAPABILITY(x) TRB_THREAD_ANNOTATION(capability(x))
#define TRB_SCOPED_CAPABILITY TRB_THREAD_ANNOTATION(scoped_lockable)
#define TRB_GUARDED_BY(x) TRB_THREAD_ANNOTATION(guarded_by(x))
#define TRB_REQUIRES(...) TRB_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define TRB_EXCLUDES(...) TRB_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define TRB_ACQUIRE(...) TRB_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define TRB_RELEASE(...) TRB_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define TRB_NO_THREAD_SAFETY_ANALYSIS TRB_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace tributary {

class TRB_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void Lock() TRB_ACQUIRE() { mu_.lock(); }
  void Unlock() TRB_RELEASE() { mu_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mu_;
};

class TRB_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex* mu) TRB_ACQUIRE(mu) : mu_(mu) { mu_->Lock(); }
  ~MutexLock() TRB_RELEASE() { mu_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mu_;
};

// Waits on a Mutex that the caller holds. Spurious wake-ups happen: wait in a loop on the condition itself.
class CondVar {
 public:
  void Wait(Mutex* mu) TRB_REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu->mu_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }
  // Returns after a notification or after the real duration, whichever is first. Code whose deadline a test must be
  // able to move waits through Clock instead.
  template <class Rep, class Period>
  void WaitFor(Mutex* mu, std::chrono::duration<Rep, Period> d) TRB_REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu->mu_, std::adopt_lock);
    cv_.wait_for(lock, d);
    lock.release();
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_MUTEX_H_
