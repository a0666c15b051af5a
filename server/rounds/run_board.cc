#include "server/rounds/run_board.h"

#include <algorithm>
#include <utility>

namespace tributary::rounds {
namespace {

std::string_view StateWord(v1::HeldTask::State state) {
  switch (state) {
    case v1::HeldTask::TRAINING:
      return "training";
    case v1::HeldTask::FINISHED:
      return "finished";
    default:
      return "queued";
  }
}

}  // namespace

void RunBoard::SetTraining(std::shared_ptr<const OpenTraining> training) {
  MutexLock lock(&mu_);
  training_ = std::move(training);
  if (training_ == nullptr || training_->round == observed_round_) return;
  observed_round_ = training_->round;
  progress_.clear();
  train_ends_.clear();
}

std::shared_ptr<const OpenTraining> RunBoard::training() const {
  MutexLock lock(&mu_);
  return training_;
}

bool RunBoard::Holds(const std::string& client_id, const std::string& task_id) const {
  const std::shared_ptr<const OpenTraining> open = training();
  if (open == nullptr) return false;
  const auto invited = open->invited.find(client_id);
  return invited != open->invited.end() && invited->second.task_id == task_id;
}

void RunBoard::SetProgress(const std::string& client_id, const v1::TaskProgress& progress) {
  MutexLock lock(&mu_);
  if (training_ == nullptr) return;
  const auto invited = training_->invited.find(client_id);
  if (invited == training_->invited.end()) return;
  v1::ClientProgress& seen = progress_[client_id];
  seen.set_client(invited->second.name);
  seen.set_state(std::string(StateWord(progress.state())));
  seen.set_steps_done(progress.steps_done());
  seen.set_steps_total(progress.steps_total());
}

void RunBoard::ForgetProgress(const std::string& client_id) {
  MutexLock lock(&mu_);
  progress_.erase(client_id);
}

std::vector<v1::ClientProgress> RunBoard::progress() const {
  MutexLock lock(&mu_);
  std::vector<v1::ClientProgress> all;
  if (training_ == nullptr) return all;
  for (const auto& [id, seen] : progress_) all.push_back(seen);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.client() < b.client(); });
  return all;
}

void RunBoard::NoteTrainEnd(const std::string& client_id, absl::Duration at) {
  MutexLock lock(&mu_);
  const auto [found, added] = train_ends_.emplace(client_id, at);
  if (!added) found->second = std::min(found->second, at);
}

std::optional<absl::Duration> RunBoard::TrainEnd(const std::string& client_id) const {
  MutexLock lock(&mu_);
  const auto found = train_ends_.find(client_id);
  if (found == train_ends_.end()) return std::nullopt;
  return found->second;
}

}  // namespace tributary::rounds
