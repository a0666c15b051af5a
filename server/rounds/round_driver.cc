// Loading, selecting and training; closing is in round_closing.cc.
#include "server/rounds/round_driver.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/fail_point.h"
#include "common/base/logging.h"
#include "server/rounds/eligibility.h"

namespace tributary::rounds {
namespace {

uint64_t Millis(absl::Duration d) { return static_cast<uint64_t>(std::max<int64_t>(0, absl::ToInt64Milliseconds(d))); }

}  // namespace

RoundDriver::RoundDriver(const Environment& environment, std::shared_ptr<const RunSpec> spec, RunBoard* board)
    : env_(environment),
      spec_(std::move(spec)),
      board_(*board),
      push_(environment.store, environment.dispatcher, environment.clock),
      central_test_(spec_, environment.blobs, environment.threads) {}

absl::StatusOr<RoundDriver::Next> RoundDriver::Step() {
  if (!loaded_ || board_.interrupted()) TRB_RETURN_IF_ERROR(Load());
  if (!IsActiveRun(run_.run)) return Ended();
  if (!round_.has_value() || IsFinal(state_)) return Begin();
  switch (state_) {
    case RoundState::kSelecting:
      return StepSelecting();
    case RoundState::kTraining:
      return StepTraining();
    case RoundState::kAggregating:
      return StepAggregating();
    default:
      return StepEvaluating();
  }
}

absl::Status RoundDriver::LoadRun() {
  TRB_ASSIGN_OR_RETURN(run_, env_.store->GetRun(spec_->id));
  return absl::OkStatus();
}

absl::Status RoundDriver::Load() {
  TRB_RETURN_IF_ERROR(LoadRun());
  stalled_ = {absl::Milliseconds(run_.stalled_ms), Now()};
  TRB_ASSIGN_OR_RETURN(std::optional<RoundRow> open, env_.store->GetOpenRound(spec_->id));
  if (open.has_value()) {
    const std::optional<RoundState> state = ParseRoundState(open->round.state());
    if (!state.has_value()) return absl::DataLossError(absl::StrCat("unknown round state ", open->round.state()));
    round_ = *std::move(open);
    state_ = *state;
    model_sha256_ = round_->round.model_sha256();
    ResetTimers(*round_);
    TRB_RETURN_IF_ERROR(ReadRows());
  } else if (round_.has_value() && !IsFinal(state_)) {
    TRB_ASSIGN_OR_RETURN(round_, env_.store->GetRound(spec_->id, round()));
    state_ = ParseRoundState(round_->round.state()).value_or(RoundState::kAbandoned);
  }
  loaded_ = true;
  if (!IsActiveRun(run_.run)) return absl::OkStatus();  // Ended still needs to know whose tasks are out
  if (!open.has_value() || state_ != RoundState::kTraining) {
    board_.SetTraining(nullptr);
    return absl::OkStatus();
  }
  std::vector<Invitee> invited;
  for (const v1::Contribution& row : rows_) invited.push_back({row.client_id(), row.client(), row.task_id()});
  ShareTraining(invited);
  return PushOpenTasks();
}

// After an error of this process the timers know more than the store, which hears of them every few seconds only.
void RoundDriver::ResetTimers(const RoundRow& row) {
  if (timed_round_ == row.round.round() && timed_state_ == state_) return;
  const absl::Duration selecting = absl::Milliseconds(row.selecting_elapsed_ms);
  const absl::Duration training = absl::Milliseconds(row.training_elapsed_ms);
  const absl::Duration now = Now();
  phase_ = {state_ == RoundState::kSelecting ? selecting : training, now};
  if (timed_round_ != row.round.round()) total_ = {selecting + training, now};
  timed_round_ = row.round.round();
  timed_state_ = state_;
  saved_at_ = now;
}

absl::StatusOr<RoundDriver::Next> RoundDriver::Begin() {
  RunSnapshot now;
  now.committed = run_.run.rounds_done();
  now.abandoned_in_a_row = run_.abandoned_in_a_row;
  if (!spec_->rules.stop_metric.empty()) TRB_RETURN_IF_ERROR(ReadNewestMetrics(&now));
  const RunDecision decision = DecideRun(spec_->rules, now);
  if (decision.action == RunDecision::Action::kComplete) return EndRun("completed", decision.reason);
  if (decision.action == RunDecision::Action::kFail) return EndRun("failed", decision.reason);
  const absl::Duration began = Now();  // before the transaction: its time belongs to the round
  TRB_ASSIGN_OR_RETURN(round_, env_.store->OpenRound(spec_->id, env_.clock->NowUnixMillis()));
  state_ = RoundState::kSelecting;
  rows_.clear();
  model_sha256_.clear();
  ResetTimers(*round_);
  phase_.since = total_.since = began;
  return Next{};
}

absl::Status RoundDriver::ReadNewestMetrics(RunSnapshot* now) {
  TRB_ASSIGN_OR_RETURN(const std::vector<RoundRow> rounds, env_.store->ListRounds(spec_->id));
  const auto newest = std::find_if(rounds.rbegin(), rounds.rend(), [](const RoundRow& row) {
    return row.round.state() == RoundStateName(RoundState::kCommitted);
  });
  if (newest == rounds.rend()) return absl::OkStatus();
  const v1::Round& r = newest->round;
  if (r.has_test_loss()) now->test_loss = r.test_loss();
  if (r.has_test_accuracy()) now->test_accuracy = r.test_accuracy();
  if (r.has_validation_loss()) now->validation_loss = r.validation_loss();
  if (r.has_validation_accuracy()) now->validation_accuracy = r.validation_accuracy();
  return absl::OkStatus();
}

absl::StatusOr<RoundDriver::Next> RoundDriver::EndRun(const std::string& state, const std::string& reason) {
  TRB_RETURN_IF_ERROR(env_.store->SetRunState(spec_->id, state, reason, env_.clock->NowUnixMillis()));
  TRB_RETURN_IF_ERROR(LoadRun());
  Log(LogLevel::kInfo, "run_ended", {{"run", spec_->id}, {"state", state}, {"reason", reason}});
  return Ended();
}

// Also when somebody else ended the run. Clients that still hold a task of it hear so.
RoundDriver::Next RoundDriver::Ended() {
  sum_ = nullptr;
  const std::shared_ptr<const OpenTraining> training = board_.training();
  board_.SetTraining(nullptr);
  if (training != nullptr) {
    if (auto rows = env_.store->ListContributions(spec_->id, training->round); rows.ok()) rows_ = *std::move(rows);
    for (const v1::Contribution& row : rows_) {
      if (row.state() == "accepted" || row.state() == "declined" || row.state() == "rejected") continue;
      push_.Cancel(row.client_id(), row.task_id(), "stopped", absl::StrCat("the run is ", run_.run.state()));
    }
  }
  if (round_.has_value() && !IsFinal(state_)) {
    if (auto row = env_.store->GetRound(spec_->id, round()); row.ok()) round_ = *std::move(row);
    state_ = RoundState::kAbandoned;
  }
  return Next{.ended = true};
}

// ---- SELECTING

absl::StatusOr<RoundDriver::Next> RoundDriver::StepSelecting() {
  TRB_ASSIGN_OR_RETURN(const std::vector<Candidate> candidates, env_.dispatcher->Candidates());
  RankedClients clients = RankEligible(spec_->plan, spec_->model, round(), candidates);
  const absl::Duration now = Now();
  SelectingSnapshot snapshot;
  snapshot.ranked = std::move(clients.ranked);
  snapshot.shortage = std::move(clients.shortage);
  snapshot.elapsed = phase_.Elapsed(now);
  snapshot.stalled = run_.run.state() == "stalled";
  snapshot.stalled_for = stalled_.Elapsed(now);
  const SelectingDecision decision = DecideSelecting(spec_->rules, snapshot);
  switch (decision.action) {
    case SelectingDecision::Action::kWait:
      return WaitAtMost(decision.wait);
    case SelectingDecision::Action::kStall:
      return Stall(decision.reason);
    case SelectingDecision::Action::kFail:
      return EndRun("failed", decision.reason);
    default:
      return Invite(decision.invited);
  }
}

absl::StatusOr<RoundDriver::Next> RoundDriver::Stall(const std::string& reason) {
  const absl::Duration began = Now();
  TRB_RETURN_IF_ERROR(env_.store->SetRunState(spec_->id, "stalled", reason, env_.clock->NowUnixMillis()));
  TRB_RETURN_IF_ERROR(LoadRun());
  stalled_ = {absl::ZeroDuration(), began};
  Log(LogLevel::kWarning, "run_stalled", {{"run", spec_->id}, {"round", round()}, {"reason", reason}});
  return Next{};
}

absl::StatusOr<RoundDriver::Next> RoundDriver::Invite(const std::vector<SelectionCandidate>& invited) {
  if (run_.run.state() == "stalled") {
    TRB_RETURN_IF_ERROR(env_.store->SetRunState(spec_->id, "running", "", env_.clock->NowUnixMillis()));
    TRB_RETURN_IF_ERROR(LoadRun());
  }
  std::vector<Invitee> invitees;
  for (const SelectionCandidate& c : invited) {
    invitees.push_back({c.client_id, c.name, TaskId(env_.federation, spec_->id, round(), c.client_id)});
  }
  const absl::Duration began = Now();
  TRB_RETURN_IF_ERROR(
      env_.store->CommitInvitations(spec_->id, round(), spec_->rules.target, invitees, Millis(phase_.Elapsed(began))));
  TRB_ASSIGN_OR_RETURN(round_, env_.store->GetRound(spec_->id, round()));
  state_ = RoundState::kTraining;
  ResetTimers(*round_);
  phase_ = {absl::ZeroDuration(), began};
  Log(LogLevel::kInfo, "round_training",
      {{"run", spec_->id}, {"round", round()}, {"invited", invitees.size()}, {"target", spec_->rules.target}});
  ShareTraining(invitees);
  TRB_RETURN_IF_ERROR(ReadRows());
  TRB_FAIL_POINT("round.push");
  TRB_RETURN_IF_ERROR(PushOpenTasks());
  TRB_FAIL_POINT("round.pushed");
  return Next{};
}

// ---- TRAINING

// Shared before the first push: a client whose session opens in between gets its task from its hello.
void RoundDriver::ShareTraining(const std::vector<Invitee>& invited) {
  auto training = std::make_shared<OpenTraining>();
  training->round = round();
  training->rounds_done = run_.run.rounds_done();
  training->base_model_sha256 = round_->round.base_model_sha256();
  training->previous_record_sha256 = round_->previous_record_sha256;
  for (const Invitee& invitee : invited) training->invited[invitee.client_id] = invitee;
  training->closes_at = phase_.since + (spec_->rules.deadline - phase_.base);
  board_.SetTraining(std::move(training));
}

absl::Status RoundDriver::PushOpenTasks() {
  const std::shared_ptr<const OpenTraining> training = board_.training();
  TaskPush::LinkCache cache;
  for (const v1::Contribution& row : rows_) {
    if (!IsOpenContribution(row.state())) continue;
    TRB_RETURN_IF_ERROR(push_.Push(*spec_, *training, training->invited.at(row.client_id()), &cache).status());
  }
  return absl::OkStatus();
}

// Whoever revokes a client tells the run that shares a training round with it. A revocation before it was shared, or
// one that a crash cut off, is seen here: what that client was asked for will not come.
absl::Status RoundDriver::ReadRows() {
  if (state_ == RoundState::kTraining) {
    TRB_ASSIGN_OR_RETURN(const uint64_t dropped, env_.store->DropRevoked(spec_->id, round()));
    if (dropped > 0)
      Log(LogLevel::kInfo, "revoked_clients_dropped", {{"run", spec_->id}, {"round", round()}, {"clients", dropped}});
  }
  TRB_ASSIGN_OR_RETURN(rows_, env_.store->ListContributions(spec_->id, round()));
  return absl::OkStatus();
}

absl::StatusOr<RoundDriver::Next> RoundDriver::StepTraining() {
  TRB_RETURN_IF_ERROR(ReadRows());
  TrainingSnapshot snapshot;
  snapshot.target = round_->target;
  snapshot.elapsed = phase_.Elapsed(Now());
  for (const v1::Contribution& row : rows_) {
    if (row.state() == "accepted") ++snapshot.accepted;
    if (IsOpenContribution(row.state())) ++snapshot.open;
  }
  const TrainingDecision decision = DecideTraining(spec_->rules, snapshot);
  if (decision.action != TrainingDecision::Action::kWait) return CloseTraining(decision);
  if (AddArrived()) return Next{};
  return WaitAtMost(decision.wait);
}

// While others still train: one update of those that have come, so that few are left to add when the round closes.
// True: one was added, look again. A failure is left to the close, which adds all anew and says what is wrong.
bool RoundDriver::AddArrived() {
  if (sum_round_ != round()) {
    sum_round_ = round();
    sum_ = std::make_unique<RoundSum>(*spec_, env_.blobs);
  }
  if (sum_ == nullptr) return false;
  const auto added = sum_->Add(rows_, 1, [this] { return board_.interrupted(); });
  if (!added.ok()) sum_ = nullptr;
  return added.ok() && *added > 0;
}

// ---- elapsed times

absl::StatusOr<RoundDriver::Next> RoundDriver::WaitAtMost(absl::Duration wait) {
  if (Now() - saved_at_ >= kSaveEvery) {
    // A round that could not write down how long it has lasted goes on: a restart takes it for younger than it is.
    if (const absl::Status saved = SaveElapsedNow(); !saved.ok()) {
      Log(LogLevel::kWarning, "elapsed_not_saved", {{"run", spec_->id}, {"round", round()}, {"why", saved.ToString()}});
      saved_at_ = Now();
    }
  }
  return Next{.wait = std::min(wait, std::max(saved_at_ + kSaveEvery - Now(), absl::Milliseconds(1)))};
}

absl::Status RoundDriver::SaveElapsedNow() {
  const absl::Duration now = Now();
  if (!IsActiveRun(run_.run) || !round_.has_value()) return absl::OkStatus();
  const uint64_t elapsed = Millis(phase_.Elapsed(now));
  if (state_ == RoundState::kSelecting) {
    TRB_RETURN_IF_ERROR(env_.store->SaveElapsed(spec_->id, round(), elapsed, 0));
    if (run_.run.state() == "stalled") {
      TRB_RETURN_IF_ERROR(env_.store->SaveStalled(spec_->id, Millis(stalled_.Elapsed(now))));
    }
  } else if (state_ == RoundState::kTraining) {
    TRB_RETURN_IF_ERROR(env_.store->SaveElapsed(spec_->id, round(), round_->selecting_elapsed_ms, elapsed));
  }
  saved_at_ = now;
  return absl::OkStatus();
}

void RoundDriver::SaveElapsed() {
  if (!loaded_) return;
  if (const absl::Status saved = SaveElapsedNow(); !saved.ok()) {
    Log(LogLevel::kWarning, "elapsed_not_saved", {{"run", spec_->id}, {"error", saved.ToString()}});
  }
}

v1::RunEvent RoundDriver::Event() const {
  v1::RunEvent event;
  const auto run = env_.store->GetRun(spec_->id);
  *event.mutable_run() = run.ok() ? run->run : run_.run;
  if (round_.has_value()) {
    const auto row = env_.store->GetRound(spec_->id, round());
    *event.mutable_round() = row.ok() ? row->round : round_->round;
    const auto rows = env_.store->ListContributions(spec_->id, round());
    for (const v1::Contribution& c : rows.ok() ? *rows : rows_) {
      if (!IsOpenContribution(c.state())) event.set_contributions_done(event.contributions_done() + 1);
    }
  }
  for (v1::ClientProgress& seen : board_.progress()) *event.add_progress() = std::move(seen);
  return event;
}

}  // namespace tributary::rounds
