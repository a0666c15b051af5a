// The second half of RoundDriver: from the end of TRAINING to a committed or abandoned round.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "server/rounds/aggregation.h"
#include "server/rounds/round_driver.h"

namespace tributary::rounds {
namespace {

uint64_t Millis(absl::Duration d) { return static_cast<uint64_t>(std::max<int64_t>(0, absl::ToInt64Milliseconds(d))); }

// Worth waiting for: the updates are there, the place for the result is not.
bool MayPass(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsUnavailable(status) || absl::IsCancelled(status);
}

}  // namespace

absl::StatusOr<RoundDriver::Next> RoundDriver::CloseTraining(const TrainingDecision& decision) {
  const std::vector<v1::Contribution> before = rows_;
  if (decision.at_deadline) TRB_RETURN_IF_ERROR(DropOffline());
  Log(LogLevel::kInfo, "round_closed", {{"run", spec_->id}, {"round", round()}, {"reason", decision.reason}});
  if (decision.action == TrainingDecision::Action::kAbandon) {
    const absl::Status abandoned = Abandon(decision.reason, decision.open_rows_become, decision.accepted);
    if (absl::IsAborted(abandoned)) return Next{};  // an update came meanwhile: decide again
    TRB_RETURN_IF_ERROR(abandoned);
    TRB_RETURN_IF_ERROR(CancelClosed(before, decision));
    return Next{};
  }
  TRB_RETURN_IF_ERROR(env_.store->BeginAggregating(spec_->id, round(), decision.open_rows_become,
                                                   absl::StrCat(decision.open_rows_become, ": ", decision.reason),
                                                   Millis(phase_.Elapsed(Now()))));
  state_ = RoundState::kAggregating;
  TRB_ASSIGN_OR_RETURN(round_, env_.store->GetRound(spec_->id, round()));
  TRB_RETURN_IF_ERROR(CancelClosed(before, decision));
  board_.SetTraining(nullptr);
  return Next{};
}

// At the deadline: those without a session were lost, those with one were late.
absl::Status RoundDriver::DropOffline() {
  TRB_ASSIGN_OR_RETURN(const std::vector<Candidate> clients, env_.dispatcher->Candidates());
  std::map<std::string, bool> online;
  for (const Candidate& c : clients) online[c.client_id] = c.online;
  for (const v1::Contribution& row : rows_) {
    if (!IsOpenContribution(row.state()) || online[row.client_id()]) continue;
    ContributionChange change;
    change.state = "dropped";
    change.reason = "dropped: no session at the deadline";
    TRB_RETURN_IF_ERROR(
        env_.store->ChangeContribution(spec_->id, round(), row.client_id(), change, env_.clock->NowUnixMillis()));
  }
  return absl::OkStatus();
}

// Rows are read again: an update may have been accepted between the decision and the transaction.
absl::Status RoundDriver::CancelClosed(const std::vector<v1::Contribution>& before, const TrainingDecision& decision) {
  TRB_ASSIGN_OR_RETURN(rows_, env_.store->ListContributions(spec_->id, round()));
  std::map<std::string, const v1::Contribution*> after;
  for (const v1::Contribution& row : rows_) after[row.client_id()] = &row;
  for (const v1::Contribution& row : before) {
    if (!IsOpenContribution(row.state()) || after[row.client_id()] == nullptr) continue;
    if (after[row.client_id()]->state() == "accepted") continue;
    push_.Cancel(row.client_id(), row.task_id(), decision.at_deadline ? "deadline" : "not_needed", decision.reason);
  }
  return absl::OkStatus();
}

absl::StatusOr<RoundDriver::Next> RoundDriver::StepAggregating() {
  const absl::Duration began = Now();
  TRB_ASSIGN_OR_RETURN(rows_, env_.store->ListContributions(spec_->id, round()));
  if (sum_ == nullptr || sum_round_ != round()) sum_ = std::make_unique<RoundSum>(*spec_, env_.blobs);
  absl::StatusOr<RoundResult> result =
      sum_->Finish(round_->round.base_model_sha256(), rows_, [this] { return board_.interrupted(); });
  sum_ = nullptr;
  if (!result.ok()) {
    if (MayPass(result.status())) return result.status();
    TRB_RETURN_IF_ERROR(
        Abandon(absl::StrCat("aggregation_failed: ", result.status().message()), "not_needed", std::nullopt));
    return Next{};
  }
  result->aggregate_ms = Millis(Now() - began);
  TRB_RETURN_IF_ERROR(env_.store->BeginEvaluating(spec_->id, round(), *result));
  TRB_ASSIGN_OR_RETURN(round_, env_.store->GetRound(spec_->id, round()));
  state_ = RoundState::kEvaluating;
  model_sha256_ = result->new_model_sha256;
  return Next{};
}

absl::StatusOr<RoundDriver::Next> RoundDriver::StepEvaluating() {
  const absl::Duration began = Now();
  RoundEvaluation evaluation;
  if (EvaluationDue(spec_->plan, run_.run.rounds_done() + 1)) {
    absl::StatusOr<RoundEvaluation> tested = central_test_.Run(model_sha256_, [this] { return board_.interrupted(); });
    if (absl::IsCancelled(tested.status())) return tested.status();
    if (tested.ok()) {
      evaluation = *std::move(tested);
    } else {
      evaluation.failure = absl::StrCat("evaluation_failed: ", tested.status().message());
      Log(LogLevel::kWarning, "evaluation_failed",
          {{"run", spec_->id}, {"round", round()}, {"error", tested.status().ToString()}});
    }
    evaluation.evaluate_ms = Millis(Now() - began);
  }
  TRB_ASSIGN_OR_RETURN(run_, env_.store->CommitRound(spec_->id, round(), evaluation, Times(evaluation.evaluate_ms),
                                                     env_.clock->NowUnixMillis()));
  TRB_ASSIGN_OR_RETURN(round_, env_.store->GetRound(spec_->id, round()));
  state_ = RoundState::kCommitted;
  Log(LogLevel::kInfo, "round_committed",
      {{"run", spec_->id}, {"round", round()}, {"accepted", round_->round.accepted()}, {"model", model_sha256_}});
  return Next{};
}

absl::Status RoundDriver::Abandon(const std::string& reason, const std::string& open_rows_become,
                                  std::optional<uint64_t> accepted) {
  const Abandonment why{reason, open_rows_become, accepted, Times(0)};
  TRB_ASSIGN_OR_RETURN(run_, env_.store->AbandonRound(spec_->id, round(), why, env_.clock->NowUnixMillis()));
  state_ = RoundState::kAbandoned;
  sum_ = nullptr;
  TRB_ASSIGN_OR_RETURN(round_, env_.store->GetRound(spec_->id, round()));
  Log(LogLevel::kWarning, "round_abandoned", {{"run", spec_->id}, {"round", round()}, {"reason", reason}});
  board_.SetTraining(nullptr);
  return absl::OkStatus();
}

RoundTimes RoundDriver::Times(uint64_t evaluate_ms) const {
  const absl::Duration now = Now();
  RoundTimes times;
  times.select_ms = round_->round.select_ms();
  times.train_ms = round_->round.train_ms();
  if (state_ == RoundState::kSelecting) times.select_ms = Millis(phase_.Elapsed(now));
  if (state_ == RoundState::kTraining) times.train_ms = Millis(phase_.Elapsed(now));
  times.total_ms = Millis(total_.Elapsed(now));
  if (const std::optional<absl::Duration> span = TrainingSpan(); span.has_value()) {
    const uint64_t useful = Millis(*span) + evaluate_ms;
    times.overhead_ms = times.total_ms > useful ? times.total_ms - useful : 0;
  }
  return times;
}

// From the first accepted client's training start to the last one's end. The end is the earlier of its word that it has
// finished and of its BeginUpload, both by this clock; the start is that less what it measured itself, because its word
// that it has begun comes before it has the model. Absent when an end was seen by an earlier process only.
std::optional<absl::Duration> RoundDriver::TrainingSpan() const {
  absl::Duration first = absl::InfiniteDuration(), last = -absl::InfiniteDuration();
  for (const v1::Contribution& row : rows_) {
    if (row.state() != "accepted") continue;
    const std::optional<absl::Duration> end = board_.TrainEnd(row.client_id());
    if (!end.has_value()) return std::nullopt;
    first = std::min(first, std::max(*end - absl::Milliseconds(row.train_ms()), total_.since));
    last = std::max(last, *end);
  }
  if (last < first) return std::nullopt;
  return last - first;
}

}  // namespace tributary::rounds
