// Threads for what may wait (SQLite, fsync, hashing), so that gRPC's own threads never do.
// Threads: every method is safe from any thread. Work must not throw. Stop() (or the destructor) runs what is queued,
// then joins; work posted after that is dropped.
#ifndef TRIBUTARY_SERVER_SERVICE_WORKER_POOL_H_
#define TRIBUTARY_SERVER_SERVICE_WORKER_POOL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"

namespace tributary::service {

class WorkerPool {
 public:
  // What may wait of new work. A task pushed to thousands of clients makes them all come at once.
  struct Limits {
    size_t pieces = 16384;
    uint64_t bytes = 64ull << 20;
  };
  explicit WorkerPool(int threads, const Limits& limits);
  explicit WorkerPool(int threads) : WorkerPool(threads, Limits()) {}
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Any free thread, first come first served. False after Stop: the work will not run. For what goes on already; the
  // calls under way bound it.
  bool Post(std::function<void()> work) TRB_EXCLUDES(mu_);
  // For work that begins, with the bytes that it keeps in memory while it waits. RESOURCE_EXHAUSTED: too much waits.
  // UNAVAILABLE: after Stop.
  absl::Status Offer(std::function<void()> work, uint64_t bytes) TRB_EXCLUDES(mu_);
  void Stop() TRB_EXCLUDES(mu_);

 private:
  struct Piece {
    std::function<void()> work;
    uint64_t bytes = 0;
  };
  void Run();

  const Limits limits_;
  std::vector<std::thread> threads_;  // set once; joined by Stop
  Mutex mu_;
  CondVar changed_;
  std::deque<Piece> queue_ TRB_GUARDED_BY(mu_);
  uint64_t bytes_ TRB_GUARDED_BY(mu_) = 0;  // of the queue
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
