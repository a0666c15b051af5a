#include "client/policy/policy.h"

#include <fnmatch.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tributary::policy {
namespace {

std::optional<Retention> RetentionFromName(std::string_view name) {
  for (const Retention r : {Retention::kRound, Retention::kRun, Retention::kForever})
    if (name == RetentionName(r)) return r;
  return std::nullopt;
}

bool MatchesAny(const std::vector<std::string>& globs, const std::string& name) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return fnmatch(glob.c_str(), name.c_str(), 0) == 0; });
}

bool KeptTooLong(const std::string& retention, Retention longest) {
  const std::optional<Retention> asked = RetentionFromName(retention);
  return !asked.has_value() || static_cast<int>(*asked) > static_cast<int>(longest);
}

std::string ModelReason(const TaskTerms& terms, const std::string& model) {
  if (terms.claimed_preset.empty()) return absl::StrCat("model ", model, " is not in `models`");
  return absl::StrCat("the model calls itself ", terms.claimed_preset,
                      " but has other layers: it is custom, which is not in `models`");
}

Decision Declined(std::string reason) { return {false, "policy", std::move(reason)}; }

}  // namespace

const char* RetentionName(Retention retention) {
  switch (retention) {
    case Retention::kRound:
      return "round";
    case Retention::kRun:
      return "run";
    case Retention::kForever:
      return "forever";
  }
  return "forever";
}

Decision Decide(const TaskTerms& terms, const Policy& policy, const Counters& counters) {
  const std::string model = terms.preset.empty() ? "custom" : terms.preset;
  if (!MatchesAny(policy.runs, terms.run_name)) return Declined("the run's name is not in `runs` of the policy");
  if (!MatchesAny(policy.models, model)) return Declined(ModelReason(terms, model));
  if (terms.epochs > policy.max_epochs)
    return Declined(absl::StrCat(terms.epochs, " epochs, more than `max_epochs` = ", policy.max_epochs));
  if (terms.min_clients < policy.min_cohort)
    return Declined(absl::StrCat("a round may commit with ", terms.min_clients,
                                 " clients, fewer than `min_cohort` = ", policy.min_cohort));
  if (KeptTooLong(terms.retention, policy.longest_retention))
    return Declined(
        absl::StrCat("updates are kept longer than `longest_retention` = ", RetentionName(policy.longest_retention)));
  if (policy.rounds_a_day > 0 && counters.accepted_last_day >= policy.rounds_a_day)
    return Declined(absl::StrCat("`rounds_a_day` = ", policy.rounds_a_day, " is used up"));
  return {};
}

}  // namespace tributary::policy
