// Clients as the rounds see them, with everything that was sent to them.
// Threads: every method is safe from any thread.
#ifndef TRIBUTARY_TESTS_SERVER_ROUNDS_FAKE_DISPATCHER_H_
#define TRIBUTARY_TESTS_SERVER_ROUNDS_FAKE_DISPATCHER_H_

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "server/rounds/dispatcher.h"
#include "tests/common/learning/tiny_plan.h"

namespace tributary::testing {

class FakeDispatcher final : public rounds::Dispatcher {
 public:
  // Enrolled, with data that fit TinyPlan; online unless said otherwise.
  void Enrol(const std::string& id, bool online = true) {
    MutexLock lock(&mu_);
    rounds::Candidate c;
    c.client_id = id;
    c.name = "client-" + id;
    c.online = online;
    c.dataset.set_examples(1000);
    c.dataset.add_shape(kTinyFeatures);
    c.dataset.set_num_classes(kTinyClasses);
    clients_[id] = c;
  }
  void SetOnline(const std::string& id, bool online) {
    MutexLock lock(&mu_);
    clients_[id].online = online;
  }
  void Remove(const std::string& id) {
    MutexLock lock(&mu_);
    clients_.erase(id);
  }
  void SetHead(const std::string& id, const v1::RunHead& head) {
    MutexLock lock(&mu_);
    heads_[id] = head;
  }
  // Called on every push, before it is recorded. Set before the first.
  void OnPush(std::function<void(const v1::TrainTask&)> hook) { on_push_ = std::move(hook); }

  absl::StatusOr<std::vector<rounds::Candidate>> Candidates() override {
    MutexLock lock(&mu_);
    std::vector<rounds::Candidate> all;
    for (const auto& [id, c] : clients_) all.push_back(c);
    return all;
  }
  bool PushTask(const std::string& client_id, const v1::TrainTask& task) override {
    if (on_push_) on_push_(task);
    MutexLock lock(&mu_);
    const auto found = clients_.find(client_id);
    if (found == clients_.end() || !found->second.online) return false;
    tasks_.emplace_back(client_id, task);
    changed_.NotifyAll();
    return true;
  }
  void PushCancel(const std::string& client_id, const v1::CancelTask& cancel) override {
    MutexLock lock(&mu_);
    cancels_.emplace_back(client_id, cancel);
    changed_.NotifyAll();
  }
  v1::RunHead KnownHead(const std::string& client_id, const std::string& run_id) override {
    MutexLock lock(&mu_);
    const auto found = heads_.find(client_id);
    return found == heads_.end() || found->second.run_id() != run_id ? v1::RunHead() : found->second;
  }

  std::vector<std::pair<std::string, v1::TrainTask>> tasks() const {
    MutexLock lock(&mu_);
    return tasks_;
  }
  // "id code" of each, in order.
  std::vector<std::string> cancels() const {
    MutexLock lock(&mu_);
    std::vector<std::string> all;
    for (const auto& [id, cancel] : cancels_) all.push_back(id + " " + cancel.code());
    return all;
  }
  void Forget() {
    MutexLock lock(&mu_);
    tasks_.clear();
    cancels_.clear();
  }
  // Blocks until the client has a task of this run and round.
  v1::TrainTask AwaitTask(const std::string& client_id, const std::string& run, uint64_t round) {
    MutexLock lock(&mu_);
    while (true) {
      for (const auto& [id, task] : tasks_) {
        if (id == client_id && task.run_id() == run && task.round() == round) return task;
      }
      changed_.Wait(&mu_);
    }
  }
  void AwaitCancels(size_t count) {
    MutexLock lock(&mu_);
    while (cancels_.size() < count) changed_.Wait(&mu_);
  }

 private:
  std::function<void(const v1::TrainTask&)> on_push_;
  mutable Mutex mu_;
  CondVar changed_;
  std::map<std::string, rounds::Candidate> clients_ TRB_GUARDED_BY(mu_);
  std::map<std::string, v1::RunHead> heads_ TRB_GUARDED_BY(mu_);
  std::vector<std::pair<std::string, v1::TrainTask>> tasks_ TRB_GUARDED_BY(mu_);
  std::vector<std::pair<std::string, v1::CancelTask>> cancels_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::testing

#endif  // TRIBUTARY_TESTS_SERVER_ROUNDS_FAKE_DISPATCHER_H_
