#include "server/service/worker_pool.h"

#include <utility>

namespace tributary::service {

WorkerPool::WorkerPool(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

WorkerPool::~WorkerPool() { Stop(); }

bool WorkerPool::Post(std::function<void()> work) {
  {
    MutexLock lock(&mu_);
    if (stopping_) return false;
    queue_.push_back(std::move(work));
  }
  changed_.NotifyOne();
  return true;
}

void WorkerPool::Stop() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  for (std::thread& t : threads_) {
    if (t.joinable()) t.join();
  }
}

void WorkerPool::Run() {
  while (true) {
    std::function<void()> work;
    {
      MutexLock lock(&mu_);
      while (queue_.empty() && !stopping_) changed_.Wait(&mu_);
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

OrderedWorkers::OrderedWorkers(int threads) {
  for (int i = 0; i < threads; ++i) lanes_.push_back(std::make_unique<WorkerPool>(1));
}

bool OrderedWorkers::Post(std::string_view key, std::function<void()> work) {
  return lanes_[std::hash<std::string_view>()(key) % lanes_.size()]->Post(std::move(work));
}

void OrderedWorkers::Stop() {
  for (const auto& lane : lanes_) lane->Stop();
}

}  // namespace tributary::service
