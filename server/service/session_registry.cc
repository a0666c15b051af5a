#include "server/service/session_registry.h"

#include <algorithm>
#include <utility>

namespace tributary::service {
namespace {

constexpr int kMostNewcomers = 2;
constexpr double kSessionsAtFullRate = 1000;
// A beat that comes before keepalive would ask saves its ping.
constexpr double kMostStretch = 3.6;
// Tasks of one session that wait for their answer. One that answers none of them is not remembered for ever; what is
// forgotten costs a few more links in a later task.
constexpr size_t kMostPushed = 64;

}  // namespace

absl::Duration HeartbeatInterval(absl::Duration base, uint64_t sessions) {
  return base * std::clamp(static_cast<double>(sessions) / kSessionsAtFullRate, 1.0, kMostStretch);
}

void SessionRegistry::Expect(const std::string& client_id, std::shared_ptr<SessionSink> sink) {
  std::shared_ptr<SessionSink> oldest;
  {
    MutexLock lock(&mu_);
    const auto is_mine = [&](const Newcomer& n) { return n.client_id == client_id; };
    const auto mine = std::find_if(newcomers_.begin(), newcomers_.end(), is_mine);
    if (std::count_if(newcomers_.begin(), newcomers_.end(), is_mine) >= kMostNewcomers) {
      oldest = std::move(mine->sink);
      newcomers_.erase(mine);
    }
    newcomers_.push_back({client_id, std::move(sink), clock_.Monotonic()});
  }
  if (oldest != nullptr) oldest->End(absl::AbortedError("newer sessions of this client wait"), false);
}

void SessionRegistry::Forget(const SessionSink* sink) {
  std::list<Newcomer> gone;  // goes outside the lock
  MutexLock lock(&mu_);
  const auto it =
      std::find_if(newcomers_.begin(), newcomers_.end(), [sink](const Newcomer& n) { return n.sink.get() == sink; });
  if (it != newcomers_.end()) gone.splice(gone.begin(), newcomers_, it);
}

uint64_t SessionRegistry::Open(const std::string& client_id, const v1::Hello& hello, absl::Duration silence,
                               std::shared_ptr<SessionSink> sink) {
  Forget(sink.get());
  std::shared_ptr<SessionSink> older;
  uint64_t session = 0;
  {
    MutexLock lock(&mu_);
    Entry entry;
    session = entry.session = next_++;
    entry.sink = std::move(sink);
    entry.last_heard = clock_.Monotonic();
    entry.silence = silence;
    for (const v1::RunHead& head : hello.heads()) entry.heads[head.run_id()] = head;
    Entry& slot = entries_[client_id];
    older = std::move(slot.sink);
    if (older != nullptr) replaced_.push_back({client_id, older, entry.last_heard});
    slot = std::move(entry);
  }
  if (older != nullptr) older->End(absl::AbortedError("a newer session of this client has taken over"), false);
  return session;
}

bool SessionRegistry::Close(const std::string& client_id, uint64_t session) {
  MutexLock lock(&mu_);
  const auto it = entries_.find(client_id);
  if (it == entries_.end() || it->second.session != session) return false;
  entries_.erase(it);
  return true;
}

void SessionRegistry::Touch(const std::string& client_id, uint64_t session) {
  MutexLock lock(&mu_);
  const auto it = entries_.find(client_id);
  if (it != entries_.end() && it->second.session == session) it->second.last_heard = clock_.Monotonic();
}

void SessionRegistry::TaskAnswered(const std::string& client_id, const std::string& task_id, bool taken) {
  MutexLock lock(&mu_);
  const auto it = entries_.find(client_id);
  if (it == entries_.end()) return;
  std::deque<Pushed>& pushed = it->second.pushed;
  const auto task = std::find_if(pushed.begin(), pushed.end(), [&](const Pushed& p) { return p.task_id == task_id; });
  if (task == pushed.end()) return;
  if (taken) {
    v1::RunHead& head = it->second.heads[task->head.run_id()];
    if (head.round() <= task->head.round()) head = task->head;
  }
  pushed.erase(task);
}

void SessionRegistry::EndSilent(absl::Duration newcomers) {
  std::vector<std::shared_ptr<SessionSink>> silent, stuck;
  {
    MutexLock lock(&mu_);
    const absl::Duration now = clock_.Monotonic();
    const auto judge = [&](absl::Duration since, absl::Duration limit, const std::shared_ptr<SessionSink>& sink) {
      if (sink->IsBusy()) return;
      if (now - since > limit) (now - since > limit + absl::Seconds(1) ? stuck : silent).push_back(sink);
    };
    for (const auto& [id, entry] : entries_) judge(entry.last_heard, entry.silence, entry.sink);
    for (const Newcomer& newcomer : newcomers_) judge(newcomer.since, newcomers, newcomer.sink);
    while (!replaced_.empty() && now - replaced_.front().since > absl::Seconds(1)) {
      stuck.push_back(std::move(replaced_.front().sink));
      replaced_.pop_front();
    }
  }
  for (const auto& sink : stuck) sink->Cancel();
  for (const auto& sink : silent) sink->End(absl::UnavailableError("no heartbeat for too long"), false);
}

absl::Duration SessionRegistry::Heartbeat(absl::Duration base) {
  return HeartbeatInterval(base, std::max<uint64_t>(Count(), enrolled_count_));
}

absl::Status SessionRegistry::CountEnrolled() {
  TRB_ASSIGN_OR_RETURN(const std::vector<rounds::Candidate> all, enrolled_());
  enrolled_count_ = all.size();
  return absl::OkStatus();
}

std::vector<std::shared_ptr<SessionSink>> SessionRegistry::AllSinks() {
  std::vector<std::shared_ptr<SessionSink>> all;
  MutexLock lock(&mu_);
  for (const auto& [id, entry] : entries_) all.push_back(entry.sink);
  return all;
}

void SessionRegistry::SendAll(const v1::CoordinatorMessage& message) {
  for (const auto& sink : AllSinks()) sink->Send(message);
}

void SessionRegistry::EndAll(const v1::Pace& pace) {
  v1::CoordinatorMessage message;
  *message.mutable_pace() = pace;
  for (const auto& sink : AllSinks()) {
    sink->Send(message);
    sink->End(absl::UnavailableError(pace.reason()), true);
  }
}

bool SessionRegistry::IsOnline(const std::string& client_id) {
  MutexLock lock(&mu_);
  return entries_.count(client_id) != 0;
}

uint64_t SessionRegistry::Count() {
  MutexLock lock(&mu_);
  return entries_.size();
}

absl::StatusOr<std::vector<rounds::Candidate>> SessionRegistry::Candidates() {
  TRB_ASSIGN_OR_RETURN(std::vector<rounds::Candidate> all, enrolled_());
  MutexLock lock(&mu_);
  for (rounds::Candidate& c : all) c.online = entries_.count(c.client_id) != 0;
  return all;
}

void SessionRegistry::Remember(const v1::TrainTask& task, std::deque<Pushed>* pushed) {
  std::erase_if(*pushed, [&](const Pushed& p) { return p.task_id == task.task_id(); });
  if (pushed->size() >= kMostPushed) pushed->pop_front();
  Pushed& mine = pushed->emplace_back();
  mine.task_id = task.task_id();
  mine.head.set_run_id(task.run_id());
  mine.head.set_round(task.round());
  mine.head.set_previous_record_sha256(task.previous_record_sha256());
}

bool SessionRegistry::PushTask(const std::string& client_id, const v1::TrainTask& task) {
  std::shared_ptr<SessionSink> sink;
  {
    MutexLock lock(&mu_);
    const auto it = entries_.find(client_id);
    if (it == entries_.end()) return false;
    Remember(task, &it->second.pushed);
    sink = it->second.sink;
  }
  v1::CoordinatorMessage message;
  *message.mutable_task() = task;
  sink->Send(std::move(message));
  return true;
}

void SessionRegistry::PushCancel(const std::string& client_id, const v1::CancelTask& cancel) {
  const std::shared_ptr<SessionSink> sink = SinkOf(client_id);
  if (sink == nullptr) return;
  v1::CoordinatorMessage message;
  *message.mutable_cancel() = cancel;
  sink->Send(std::move(message));
}

v1::RunHead SessionRegistry::KnownHead(const std::string& client_id, const std::string& run_id) {
  MutexLock lock(&mu_);
  const auto it = entries_.find(client_id);
  if (it == entries_.end()) return {};
  const auto head = it->second.heads.find(run_id);
  return head == it->second.heads.end() ? v1::RunHead() : head->second;
}

std::shared_ptr<SessionSink> SessionRegistry::SinkOf(const std::string& client_id) {
  MutexLock lock(&mu_);
  const auto it = entries_.find(client_id);
  return it == entries_.end() ? nullptr : it->second.sink;
}

}  // namespace tributary::service
