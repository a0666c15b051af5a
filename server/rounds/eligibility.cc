#include "server/rounds/eligibility.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/learning/compatibility.h"
#include "common/learning/selection.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::rounds {
namespace {

bool SaidHello(const Candidate& client) {
  return client.online || client.dataset.examples() > 0 || client.dataset.shape_size() > 0;
}

learning::DataFacts FactsOf(const v1::DatasetFacts& told) {
  learning::DataFacts facts;
  facts.examples = told.examples();
  facts.shape.assign(told.shape().begin(), told.shape().end());
  facts.classes.assign(told.classes().begin(), told.classes().end());
  facts.num_classes = told.num_classes();
  return facts;
}

}  // namespace

absl::Status CheckEligible(const v1::RunPlan& plan, const nn::ModelDescription& model, const Candidate& client) {
  for (const auto& [key, value] :
       std::map<std::string, std::string>(plan.round().where().begin(), plan.round().where().end())) {
    const auto label = client.labels.find(key);
    if (label == client.labels.end() || label->second != value) {
      return absl::FailedPreconditionError(absl::StrCat("label ", key, " is not ", value));
    }
  }
  if (!SaidHello(client)) return absl::OkStatus();
  return learning::CheckFacts(FactsOf(client.dataset), model);
}

RankedClients RankEligible(const v1::RunPlan& plan, const nn::ModelDescription& model, uint64_t round,
                           const std::vector<Candidate>& clients) {
  std::map<std::string, SelectionCandidate> eligible;
  std::vector<std::string> names;
  size_t refused = 0;
  std::string first_reason;
  for (const Candidate& client : clients) {
    if (const absl::Status fits = CheckEligible(plan, model, client); !fits.ok()) {
      if (refused++ == 0) first_reason = absl::StrCat(client.name, ": ", fits.message());
      continue;
    }
    names.push_back(client.name);
    eligible[client.name] = {client.client_id, client.name, client.online, SaidHello(client)};
  }
  RankedClients result;
  for (const std::string& name : learning::RankClients(plan.seed(), round, std::move(names))) {
    result.ranked.push_back(eligible[name]);
  }
  if (refused > 0) {
    result.shortage = absl::StrCat(clients.size(), " enrolled, ", refused, " not eligible, e.g. ",
                                   absl::StrReplaceAll(first_reason, {{"\n", "; "}}));
  }
  return result;
}

}  // namespace tributary::rounds
