#include "server/rounds/round.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "common/learning/selection.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::rounds {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"selecting",  "training",  "aggregating",
                                                    "evaluating", "committed", "abandoned"};

std::vector<SelectionCandidate> Lowest(const std::vector<SelectionCandidate>& ranked, uint64_t count,
                                       bool online_only) {
  std::vector<SelectionCandidate> lowest;
  for (const SelectionCandidate& c : ranked) {
    if (lowest.size() == count) break;
    if (!online_only || (c.online && c.known)) lowest.push_back(c);
  }
  return lowest;
}

std::string Shortage(const RoundRules& rules, size_t online, const std::string& why) {
  std::string text = absl::StrCat("too_few_clients: ", online, " of at least ", rules.min_clients,
                                  online == 1 ? " client" : " clients", " online and eligible");
  if (!why.empty()) absl::StrAppend(&text, " (", why, ")");
  return text;
}

std::optional<double> StopValue(const std::string& metric, const RunSnapshot& now) {
  if (metric == "test_accuracy") return now.test_accuracy;
  if (metric == "test_loss") return now.test_loss;
  if (metric == "validation_accuracy") return now.validation_accuracy;
  if (metric == "validation_loss") return now.validation_loss;
  return std::nullopt;
}

bool StopReached(const RoundRules& rules, double value) {
  // A NaN reaches no target.
  return rules.stop_metric.ends_with("accuracy") ? value >= rules.stop_target : value <= rules.stop_target;
}

}  // namespace

std::string_view RoundStateName(RoundState state) { return kNames[static_cast<size_t>(state)]; }

std::optional<RoundState> ParseRoundState(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<RoundState>(found - kNames.begin());
}

bool IsFinal(RoundState state) { return state == RoundState::kCommitted || state == RoundState::kAbandoned; }

bool MayFollow(RoundState from, RoundState to) {
  if (IsFinal(from)) return false;
  return to == RoundState::kAbandoned || static_cast<int>(to) == static_cast<int>(from) + 1;
}

RoundRules RoundRules::From(const v1::RunPlan& plan) {
  const v1::RoundPlan& round = plan.round();
  RoundRules rules;
  rules.rounds = plan.rounds();
  rules.target = round.clients();
  rules.invitations = learning::InvitationCount(round.clients(), round.over_select());
  rules.min_clients = round.min_clients();
  rules.deadline = absl::Milliseconds(round.deadline_ms());
  rules.select_wait = absl::Milliseconds(round.select_wait_ms());
  rules.stall_timeout = absl::Milliseconds(round.stall_timeout_ms());
  rules.max_failed_rounds = round.max_failed_rounds();
  rules.stop_metric = plan.stop().metric();
  rules.stop_target = plan.stop().target();
  return rules;
}

SelectingDecision DecideSelecting(const RoundRules& rules, const SelectingSnapshot& now) {
  SelectingDecision decision;
  std::vector<SelectionCandidate> wanted = Lowest(now.ranked, rules.invitations, /*online_only=*/false);
  const bool all_here =
      std::all_of(wanted.begin(), wanted.end(), [](const SelectionCandidate& c) { return c.online && c.known; });
  if (all_here && wanted.size() >= rules.min_clients) {
    decision.action = SelectingDecision::Action::kInvite;
    decision.invited = std::move(wanted);
    return decision;
  }
  if (!now.stalled && now.elapsed < rules.select_wait) {
    decision.wait = rules.select_wait - now.elapsed;
    return decision;
  }
  std::vector<SelectionCandidate> online = Lowest(now.ranked, rules.invitations, /*online_only=*/true);
  if (online.size() >= rules.min_clients) {
    decision.action = SelectingDecision::Action::kInvite;
    decision.invited = std::move(online);
    return decision;
  }
  decision.reason = Shortage(rules, online.size(), now.shortage);
  if (!now.stalled) {
    decision.action = SelectingDecision::Action::kStall;
  } else if (now.stalled_for >= rules.stall_timeout) {
    decision.action = SelectingDecision::Action::kFail;
    decision.reason = absl::StrCat("stall_timeout: ", decision.reason);
  } else {
    decision.wait = rules.stall_timeout - now.stalled_for;
  }
  return decision;
}

TrainingDecision DecideTraining(const RoundRules& rules, const TrainingSnapshot& now) {
  TrainingDecision decision;
  const bool reached = now.accepted >= now.target;
  decision.at_deadline = !reached && now.open > 0 && now.elapsed >= rules.deadline;
  if (!reached && now.open > 0 && !decision.at_deadline) {
    decision.wait = rules.deadline - now.elapsed;
    return decision;
  }
  decision.accepted = now.accepted;
  decision.open_rows_become = decision.at_deadline ? "late" : "not_needed";
  const char* const cause = reached ? "target_reached" : decision.at_deadline ? "deadline" : "no_client_open";
  if (now.accepted >= rules.min_clients) {
    decision.action = TrainingDecision::Action::kAggregate;
    decision.reason = absl::StrCat(cause, ": ", now.accepted, " of ", now.target, " updates");
  } else {
    decision.action = TrainingDecision::Action::kAbandon;
    decision.reason =
        absl::StrCat("too_few_updates: ", now.accepted, " of at least ", rules.min_clients, " accepted (", cause, ")");
  }
  return decision;
}

RunDecision DecideRun(const RoundRules& rules, const RunSnapshot& now) {
  if (now.committed >= rules.rounds) return {RunDecision::Action::kComplete, ""};
  const std::optional<double> value = StopValue(rules.stop_metric, now);
  if (value.has_value() && StopReached(rules, *value)) {
    return {RunDecision::Action::kComplete,
            absl::StrCat("target_reached: ", rules.stop_metric, " ", *value, ", wanted ", rules.stop_target)};
  }
  if (rules.max_failed_rounds > 0 && now.abandoned_in_a_row >= rules.max_failed_rounds) {
    return {RunDecision::Action::kFail,
            absl::StrCat("max_failed_rounds: ", now.abandoned_in_a_row, " rounds in a row were abandoned")};
  }
  return {};
}

bool EvaluationDue(const v1::RunPlan& plan, uint64_t committed) {
  if (plan.evaluate().every() == 0 || plan.evaluate().data().empty()) return false;
  return committed % plan.evaluate().every() == 0 || committed >= plan.rounds();
}

bool IsOpenContribution(std::string_view state) { return state == "invited" || state == "accepted_task"; }

}  // namespace tributary::rounds
