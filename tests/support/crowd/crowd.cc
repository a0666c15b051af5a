#include "tests/support/crowd/crowd.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "nlohmann/json.hpp"

namespace tributary::crowd {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// What a client may do wrong with a task. kNone is by far the most frequent.
enum class Fault { kNone, kVanish, kCutUpload, kDecline, kHangUp, kUploadTwice, kLate };
constexpr Fault kFaults[] = {Fault::kVanish, Fault::kCutUpload,   Fault::kDecline,
                             Fault::kHangUp, Fault::kUploadTwice, Fault::kLate};

class Crowd final : public LightClient::Listener {
 public:
  Crowd(const Members& members, const Options& options, std::FILE* out)
      : options_(options), out_(out), rng_(options.seed), start_(Clock::now()) {
    for (const Member& m : members.members) {
      clients_.push_back(std::make_unique<LightClient>(members, m, options.endpoint, options.data, this));
    }
  }

  bool Run(const std::function<bool()>& ended) {
    std::vector<std::thread> workers;
    for (int i = 0; i < options_.uploads; ++i) workers.emplace_back([this] { Work(); });
    const bool connected = ConnectAll();
    if (connected) {
      Say({{"event", "connected"}, {"clients", clients_.size()}, {"ms", Ms()}});
      while (!ended()) Tick();
    }
    StopAll(&workers);
    Say({{"event", "ended"},
         {"receipts", receipts_},
         {"not_needed", not_needed_},
         {"rejected", rejected_},
         {"retries", retries_},
         {"faults", faulty_},
         {"reconnects", reconnects_},
         {"resumed", resumed_}});
    return connected;
  }

  void OnWelcome(LightClient* client, const v1::Welcome& welcome, bool resumed) override {
    const std::lock_guard<std::mutex> lock(mu_);
    resumed_ += resumed ? 1 : 0;
    const milliseconds interval(welcome.heartbeat_interval_ms());
    beats_[client] = {interval, Clock::now() + milliseconds(rng_.Below(static_cast<uint64_t>(interval.count())))};
    changed_.notify_all();
  }

  void OnTask(LightClient* client, const v1::TrainTask& task) override {
    const std::lock_guard<std::mutex> lock(mu_);
    Arrivals& round = arrivals_[absl::StrCat(task.run_id(), "/", task.round())];
    if (round.clients++ == 0) round.first_ms = Ms();
    round.last_ms = Ms();
    round.round = task.round();
    round.changed = true;
    jobs_.push_back({client, task, Clock::now(), 0});
    changed_.notify_all();
  }

  void OnCancel(LightClient*, const v1::CancelTask&) override {}

  void OnEnded(LightClient* client, const grpc::Status&) override {
    const std::lock_guard<std::mutex> lock(mu_);
    --sessions_;
    if (stopping_) return changed_.notify_all();
    returns_.push_back({client, Clock::now() + milliseconds(100 + rng_.Below(400))});
  }

 private:
  struct Job {
    LightClient* client;
    v1::TrainTask task;
    Clock::time_point due;
    int tries;
  };
  struct Return {
    LightClient* client;
    Clock::time_point due;
  };
  struct Beats {
    milliseconds interval;
    Clock::time_point due;
  };
  struct Arrivals {
    size_t clients = 0;
    int64_t first_ms = 0, last_ms = 0;
    uint64_t round = 0;
    bool changed = false;
  };

  int64_t Ms() const { return std::chrono::duration_cast<milliseconds>(Clock::now() - start_).count(); }

  void Say(const nlohmann::json& line) {
    const std::string text = line.dump() + "\n";
    std::fwrite(text.data(), 1, text.size(), out_);
    std::fflush(out_);
  }

  // Some handshakes at a time, as a crowd that comes back after a restart would be spread by its back-off.
  bool ConnectAll() {
    constexpr size_t kAtOnce = 64;
    const auto end = Clock::now() + std::chrono::seconds(60) + milliseconds(20 * clients_.size());
    for (size_t begun = 0, open = 0; open < clients_.size(); Tick()) {
      if (Clock::now() > end) return false;
      {
        const std::lock_guard<std::mutex> lock(mu_);
        open = beats_.size();  // once each
      }
      while (begun < clients_.size() && begun < open + kAtOnce) Connect(clients_[begun++].get(), true);
    }
    return true;
  }

  // Counted before it opens: it may have ended before Connect is back.
  void Connect(LightClient* client, bool fresh) {
    const auto count = [this](int by) {
      const std::lock_guard<std::mutex> lock(mu_);
      sessions_ += by;
    };
    count(1);
    if (!client->Connect(fresh)) count(-1);
  }

  // Beats for those whose time it is, and opens the sessions again that ended.
  void Tick() {
    std::vector<LightClient*> back, beating;
    {
      std::unique_lock<std::mutex> lock(mu_);
      changed_.wait_for(lock, milliseconds(20), [] { return false; });
      const auto now = Clock::now();
      const auto due = std::partition(returns_.begin(), returns_.end(), [now](const Return& r) { return r.due > now; });
      for (auto r = due; r != returns_.end(); ++r) back.push_back(r->client);
      returns_.erase(due, returns_.end());
      reconnects_ += back.size();
      for (auto& [client, beat] : beats_) {
        if (beat.due > now) continue;
        beating.push_back(client);
        beat.due += beat.interval;
      }
      ReportArrivals();
    }
    for (LightClient* client : back) Connect(client, reconnects_ % 2 == 0);
    for (LightClient* client : beating) client->Beat();
  }

  // Once nothing more has come for a second. Under the lock.
  void ReportArrivals() {
    for (auto& [key, round] : arrivals_) {
      if (!round.changed || Ms() - round.last_ms < 1000) continue;
      round.changed = false;
      Say({{"event", "task"},
           {"round", round.round},
           {"clients", round.clients},
           {"first_ms", round.first_ms},
           {"last_ms", round.last_ms}});
    }
  }

  Fault NextFault() {
    if (rng_.UniformFloat() >= options_.faults) return Fault::kNone;
    ++faulty_;
    return kFaults[rng_.Below(std::size(kFaults))];
  }

  void Work() {
    std::unique_lock<std::mutex> lock(mu_);
    while (true) {
      const auto now = Clock::now();
      const auto job = std::find_if(jobs_.begin(), jobs_.end(), [now](const Job& j) { return j.due <= now; });
      if (stopping_) return;
      if (job == jobs_.end()) {
        changed_.wait_for(lock, milliseconds(jobs_.empty() ? 500 : 20));
        continue;
      }
      Job mine = std::move(*job);
      jobs_.erase(job);
      const Fault fault = mine.tries == 0 ? NextFault() : Fault::kNone;
      lock.unlock();
      Do(std::move(mine), fault);
      lock.lock();
    }
  }

  void Do(Job job, Fault fault) {
    if (fault == Fault::kVanish) return job.client->Stop();
    if (job.tries == 0)
      job.client->Answer(job.task, fault != Fault::kDecline, fault == Fault::kDecline ? "policy" : "");
    if (fault == Fault::kDecline || options_.parameters == 0) return;
    if (fault == Fault::kHangUp) job.client->Stop();
    if (fault == Fault::kLate && job.tries == 0)
      return Again(std::move(job), milliseconds(job.task.remaining_ms() + 50));
    uint64_t bytes = 0;
    if (options_.downloads && job.tries == 0 && !job.client->Download(job.task, &bytes).ok())
      return Retry(std::move(job), 50);
    if (fault == Fault::kCutUpload) {
      job.client->Upload(job.task, options_.parameters, options_.parameters * 2);
      return Retry(std::move(job), 10);
    }
    const LightClient::Uploaded done = job.client->Upload(job.task, options_.parameters);
    if (fault == Fault::kUploadTwice && done.kind == LightClient::Uploaded::Kind::kReceipt) {
      const LightClient::Uploaded again = job.client->Upload(job.task, options_.parameters);
      if (again.kind == LightClient::Uploaded::Kind::kReceipt && again.receipt != done.receipt) {
        Say({{"event", "fault"}, {"what", "another receipt for the same update"}, {"client", job.client->name()}});
      }
    }
    Count(std::move(job), done);
  }

  void Count(Job job, const LightClient::Uploaded& done) {
    using Kind = LightClient::Uploaded::Kind;
    if (done.kind == Kind::kRetry) return Retry(std::move(job), std::max<uint64_t>(done.retry_after_ms, 50));
    const std::lock_guard<std::mutex> lock(mu_);
    if (done.kind == Kind::kNotNeeded) ++not_needed_;
    if (done.kind == Kind::kRejected) {
      ++rejected_;
      Say({{"event", "rejected"}, {"client", job.client->name()}, {"round", job.task.round()}, {"code", done.detail}});
    }
    if (done.kind != Kind::kReceipt) return;
    ++receipts_;
    Say({{"event", "receipt"},
         {"client", job.client->name()},
         {"round", job.task.round()},
         {"ms", Ms()},
         {"update_sha256", done.update_sha256}});
  }

  // A task that is never wanted again ends with not_needed, so tries need no end but this.
  void Retry(Job job, uint64_t ms) {
    constexpr int kMostTries = 200;
    if (++job.tries < kMostTries) Again(std::move(job), milliseconds(ms));
  }
  void Again(Job job, milliseconds after) {
    const std::lock_guard<std::mutex> lock(mu_);
    ++retries_;
    job.tries = std::max(job.tries, 1);
    job.due = Clock::now() + after;
    jobs_.push_back(std::move(job));
  }

  void StopAll(std::vector<std::thread>* workers) {
    {
      const std::lock_guard<std::mutex> lock(mu_);
      stopping_ = true;
      changed_.notify_all();
    }
    for (std::thread& worker : *workers) worker.join();
    for (const auto& client : clients_) client->Stop();
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [this] { return sessions_ == 0; });
  }

  const Options options_;
  std::FILE* const out_;
  std::vector<std::unique_ptr<LightClient>> clients_;
  std::mutex mu_;
  std::condition_variable changed_;
  Rng rng_;
  const Clock::time_point start_;
  size_t reconnects_ = 0, resumed_ = 0;
  int sessions_ = 0;  // begun, whose OnEnded has not come
  uint64_t receipts_ = 0, not_needed_ = 0, rejected_ = 0, retries_ = 0, faulty_ = 0;
  std::map<LightClient*, Beats> beats_;
  std::map<std::string, Arrivals> arrivals_;
  std::deque<Job> jobs_;
  std::vector<Return> returns_;
  bool stopping_ = false;
};

}  // namespace

bool Run(const Members& members, const Options& options, const std::function<bool()>& ended, std::FILE* out) {
  return Crowd(members, options, out).Run(ended);
}

}  // namespace tributary::crowd
