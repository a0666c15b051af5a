#include "server/service/worker_pool.h"

#include <utility>

namespace tributary::service {

WorkerPool::WorkerPool(int threads, const Limits& limits) : limits_(limits) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

WorkerPool::~WorkerPool() { Stop(); }

bool WorkerPool::Post(std::function<void()> work) {
  {
    MutexLock lock(&mu_);
    if (stopping_) return false;
    queue_.push_back({std::move(work), 0});
  }
  changed_.NotifyOne();
  return true;
}

absl::Status WorkerPool::Offer(std::function<void()> work, uint64_t bytes) {
  {
    MutexLock lock(&mu_);
    if (stopping_) return absl::UnavailableError("the coordinator is shutting down");
    if (queue_.size() >= limits_.pieces || (!queue_.empty() && bytes_ + bytes > limits_.bytes)) {
      return absl::ResourceExhaustedError("the coordinator is busy: try again in 1000 ms");
    }
    bytes_ += bytes;
    queue_.push_back({std::move(work), bytes});
  }
  changed_.NotifyOne();
  return absl::OkStatus();
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
      work = std::move(queue_.front().work);
      bytes_ -= queue_.front().bytes;
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
