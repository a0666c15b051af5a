// How many uploads are read at once: the others wait unread, held back by HTTP/2's flow control.
// Threads: every method is safe from any thread. `go` runs on the thread that made room, outside the lock.
#ifndef TRIBUTARY_SERVER_SERVICE_UPLOAD_SLOTS_H_
#define TRIBUTARY_SERVER_SERVICE_UPLOAD_SLOTS_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <utility>

#include "common/base/mutex.h"

namespace tributary::service {

class UploadSlots {
 public:
  UploadSlots(size_t reading, size_t waiting) : max_reading_(reading), max_waiting_(waiting) {}

  // Calls `go` now or when there is room; every `go` that ran is answered by one Leave. False: too many wait already.
  bool Enter(std::function<void()> go) TRB_EXCLUDES(mu_) {
    {
      MutexLock lock(&mu_);
      if (reading_ >= max_reading_) {
        if (waiting_.size() >= max_waiting_) return false;
        waiting_.push_back(std::move(go));
        return true;
      }
      ++reading_;
    }
    go();
    return true;
  }

  void Leave() TRB_EXCLUDES(mu_) {
    std::function<void()> next;
    {
      MutexLock lock(&mu_);
      if (waiting_.empty()) {
        --reading_;
        return;
      }
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    next();
  }

  bool Full() TRB_EXCLUDES(mu_) {
    MutexLock lock(&mu_);
    return waiting_.size() >= max_waiting_;
  }

 private:
  const size_t max_reading_, max_waiting_;
  Mutex mu_;
  size_t reading_ TRB_GUARDED_BY(mu_) = 0;
  std::deque<std::function<void()>> waiting_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_UPLOAD_SLOTS_H_
