#include "common/learning/simulator.h"

#include <algorithm>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/mutex.h"
#include "common/crypto/digest.h"
#include "common/learning/evaluation.h"
#include "common/learning/fedavg.h"
#include "common/learning/initial_model.h"
#include "common/learning/learning_rate.h"
#include "common/learning/local_trainer.h"
#include "common/learning/selection.h"
#include "common/nn/model_description.h"
#include "common/update/update_codec.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::learning {
namespace {

// A mean weighted by examples; absent while nothing was added.
class WeightedMean {
 public:
  void Add(std::optional<double> value, uint64_t weight) {
    if (!value.has_value() || weight == 0) return;
    sum_ += *value * static_cast<double>(weight);
    weight_ += weight;
  }
  std::optional<double> Value() const {
    return weight_ == 0 ? std::nullopt : std::optional(sum_ / static_cast<double>(weight_));
  }

 private:
  double sum_ = 0;
  uint64_t weight_ = 0;
};

// What one client did in a round, but for the delta, which is in the sum already.
struct Contribution {
  LocalResult result;
  std::string update_sha256;
  uint64_t weight = 0;  // examples, capped
};

bool StopReached(const v1::StopRule& rule, const SimulatedRound& round) {
  const auto at_least = [&rule](std::optional<double> v) { return v.has_value() && *v >= rule.target(); };
  const auto at_most = [&rule](std::optional<double> v) { return v.has_value() && *v <= rule.target(); };
  if (rule.metric() == "test_accuracy") return at_least(round.test_accuracy);
  if (rule.metric() == "validation_accuracy") return at_least(round.validation_accuracy);
  if (rule.metric() == "test_loss") return at_most(round.test_loss);
  if (rule.metric() == "validation_loss") return at_most(round.validation_loss);
  return false;
}

class Simulation {
 public:
  Simulation(const SimulationInput& input, const nn::ModelDescription& model) : input_(input), model_(model) {}

  absl::Status Prepare();
  absl::StatusOr<SimulatedRound> RunRound(uint64_t round);
  std::vector<float> TakeParameters() { return std::move(parameters_); }

 private:
  absl::StatusOr<std::vector<Contribution>> TrainClients(uint64_t round, const std::vector<std::string>& clients,
                                                         AggregationStrategy* strategy);
  absl::StatusOr<Contribution> TrainClient(uint64_t round, const std::string& name, Mutex* mu,
                                           AggregationStrategy* strategy);
  absl::Status Test(SimulatedRound* out) const;

  const SimulationInput& input_;
  const nn::ModelDescription& model_;
  std::map<std::string, const std::vector<uint32_t>*> parts_;  // of the clients that hold any example
  std::vector<float> parameters_;
};

absl::Status Simulation::Prepare() {
  for (size_t i = 0; i < input_.parts.size(); ++i) {
    if (!input_.parts[i].empty()) parts_[SimulatedClientName(i)] = &input_.parts[i];
  }
  if (parts_.size() < input_.plan.round().min_clients() || parts_.empty()) {
    return absl::FailedPreconditionError(absl::StrCat("only ", parts_.size(),
                                                      " of the simulated clients hold examples, ", "min_clients is ",
                                                      input_.plan.round().min_clients()));
  }
  parameters_ = input_.initial_parameters;
  if (!parameters_.empty()) return absl::OkStatus();
  TRB_ASSIGN_OR_RETURN(parameters_, InitialParameters(model_, input_.plan.seed()));
  return absl::OkStatus();
}

absl::StatusOr<Contribution> Simulation::TrainClient(uint64_t round, const std::string& name, Mutex* mu,
                                                     AggregationStrategy* strategy) {
  const v1::RunPlan& plan = input_.plan;
  LocalTask task{
      .model = model_, .base = parameters_, .data = input_.train, .indices = *parts_.at(name), .plan = plan.train()};
  task.learning_rate = LearningRateAfter(plan.train(), round - 1);
  task.run_seed = plan.seed();
  task.round = round;
  task.client_name = name;
  task.stop = input_.stop;
  task.clock = input_.clock;
  Contribution contribution;
  TRB_ASSIGN_OR_RETURN(contribution.result, TrainLocally(task));
  std::vector<float> delta = std::move(contribution.result.delta);
  TRB_ASSIGN_OR_RETURN(const std::string bytes, update::EncodeDelta(update::kDefaultEncoding, delta));
  contribution.update_sha256 = crypto::Sha256Hex(bytes);
  const uint64_t cap = plan.aggregate().max_weight() == 0 ? FedAvg::kMaxWeight : plan.aggregate().max_weight();
  contribution.weight = std::min(contribution.result.examples, cap);
  const MutexLock lock(mu);  // the sum is exact: the order in which clients come here is of no account
  TRB_RETURN_IF_ERROR(strategy->Add(delta, contribution.weight));
  return contribution;
}

absl::StatusOr<std::vector<Contribution>> Simulation::TrainClients(uint64_t round,
                                                                   const std::vector<std::string>& clients,
                                                                   AggregationStrategy* strategy) {
  std::vector<absl::StatusOr<Contribution>> done(clients.size(), absl::CancelledError("not trained"));
  Mutex sum_mu, next_mu;
  size_t next = 0;
  const auto work = [&] {
    for (;;) {
      size_t i;
      {
        const MutexLock lock(&next_mu);
        if (next == clients.size()) return;
        i = next++;
      }
      done[i] = TrainClient(round, clients[i], &sum_mu, strategy);
    }
  };
  std::vector<std::thread> helpers;
  const size_t workers = std::min<size_t>(clients.size(), static_cast<size_t>(std::max(1, input_.threads)));
  for (size_t i = 1; i < workers; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& t : helpers) t.join();
  std::vector<Contribution> contributions;
  for (size_t i = 0; i < done.size(); ++i) {
    if (!done[i].ok()) return Annotate(done[i].status(), absl::StrCat("round ", round, ", ", clients[i]));
    contributions.push_back(*std::move(done[i]));
  }
  return contributions;
}

absl::Status Simulation::Test(SimulatedRound* out) const {
  const uint32_t every = input_.plan.evaluate().every();
  const bool due = every > 0 && (out->round % every == 0 || out->round == input_.plan.rounds());
  if (input_.test == nullptr || !due) return absl::OkStatus();
  TRB_ASSIGN_OR_RETURN(const Evaluation test,
                       Evaluate(model_, parameters_, *input_.test, {.threads = input_.threads, .stop = input_.stop}));
  out->test_loss = test.loss;
  out->test_accuracy = test.accuracy;
  return absl::OkStatus();
}

absl::StatusOr<SimulatedRound> Simulation::RunRound(uint64_t round) {
  const absl::Duration start = input_.clock->Monotonic();
  SimulatedRound out;
  out.round = round;
  for (const auto& [name, part] : parts_) out.clients.push_back(name);
  out.clients = RankClients(input_.plan.seed(), round, std::move(out.clients));
  // Nobody is slow or away here, so the spare invitations of over_select change nothing.
  if (out.clients.size() > input_.plan.round().clients()) out.clients.resize(input_.plan.round().clients());
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<AggregationStrategy> strategy,
                       CreateStrategy(input_.plan.aggregate().strategy(), parameters_.size()));
  TRB_ASSIGN_OR_RETURN(const std::vector<Contribution> contributions, TrainClients(round, out.clients, strategy.get()));
  WeightedMean train_loss, validation_loss, validation_accuracy;
  for (const auto& [result, digest, weight] : contributions) {
    out.examples += weight;
    out.update_sha256.push_back(digest);
    train_loss.Add(result.train_loss, weight);
    validation_loss.Add(result.validation_loss, weight);
    validation_accuracy.Add(result.validation_accuracy, weight);
  }
  out.train_loss = train_loss.Value();
  out.validation_loss = validation_loss.Value();
  out.validation_accuracy = validation_accuracy.Value();
  TRB_ASSIGN_OR_RETURN(parameters_, strategy->Finish(parameters_, input_.plan.aggregate().server_learning_rate()));
  out.model_sha256 = crypto::Sha256Hex(update::EncodeParameters(parameters_));
  out.seconds = absl::ToDoubleSeconds(input_.clock->Monotonic() - start);
  TRB_RETURN_IF_ERROR(Test(&out));
  return out;
}

}  // namespace

std::string SimulatedClientName(size_t index) { return absl::StrFormat("client-%04d", index + 1); }

absl::StatusOr<SimulationResult> Simulate(const SimulationInput& input,
                                          const std::function<void(const SimulatedRound&)>& on_round) {
  TRB_ASSIGN_OR_RETURN(const nn::ModelDescription model, nn::ModelDescription::FromProto(input.plan.model()));
  Simulation simulation(input, model);
  TRB_RETURN_IF_ERROR(simulation.Prepare());
  SimulationResult result;
  for (uint64_t round = 1; round <= input.plan.rounds(); ++round) {
    TRB_ASSIGN_OR_RETURN(SimulatedRound done, simulation.RunRound(round));
    if (on_round) on_round(done);
    result.rounds.push_back(std::move(done));
    if (StopReached(input.plan.stop(), result.rounds.back())) break;
  }
  result.parameters = simulation.TakeParameters();
  return result;
}

}  // namespace tributary::learning
