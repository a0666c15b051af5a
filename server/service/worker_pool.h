// Threads for what may wait (SQLite, fsync, hashing), so that gRPC's own threads never do.
// Threads: every method is safe from any thread. Work must not throw. Stop() (or the destructor) runs what is queued,
// then joins; work posted after that is dropped.
#ifndef TRIBUTARY_SERVER_SERVICE_WORKER_POOL_H_
#define TRIBUTARY_SERVER_SERVICE_WORKER_POOL_H_

#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/mutex.h"

namespace tributary::service {

class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Any free thread, first come first served. False after Stop: the work will not run.
  bool Post(std::function<void()> work) TRB_EXCLUDES(mu_);
  void Stop() TRB_EXCLUDES(mu_);

 private:
  void Run();

  std::vector<std::thread> threads_;  // set once; joined by Stop
  Mutex mu_;
  CondVar changed_;
  std::deque<std::function<void()>> queue_ TRB_GUARDED_BY(mu_);
  bool stopping_ TRB_GUARDED_BY(mu_) = false;
};

// Work with the same key runs in the order of posting, one piece at a time.
class OrderedWorkers {
 public:
  explicit OrderedWorkers(int threads);
  bool Post(std::string_view key, std::function<void()> work);
  void Stop();

 private:
  std::vector<std::unique_ptr<WorkerPool>> lanes_;  // set once; one thread each
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_WORKER_POOL_H_
