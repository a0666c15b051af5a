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
#include "common/learning/compatibility.h"
#include "common/learning/evaluation.h"
#include "common/learning/fedavg.h"
#include "common/learning/initial_model.h"
#include "common/learning/learning_rate.h"
#include "common/learning/local_trainer.h"
#include "common/learning/selection.h"
#include "common/learning/simulation_trace.h"
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

// SHA-256 of the update as a client would send it. In pieces: float32 goes value by value.
absl::StatusOr<std::string> UpdateDigest(std::span<const float> delta) {
  static_assert(update::kDefaultEncoding == "float32");
  constexpr size_t kPiece = 1 << 16;
  crypto::Sha256Hasher hasher;
  for (size_t at = 0; at < delta.size(); at += kPiece) {
    const auto piece = delta.subspan(at, std::min(kPiece, delta.size() - at));
    TRB_ASSIGN_OR_RETURN(const std::string bytes, update::EncodeDelta(update::kDefaultEncoding, piece));
    hasher.Update(bytes);
  }
  return hasher.FinishHex();
}

// A client's own trouble, with which a real round goes on without it. Anything else is wrong with the run.
bool IsClientsOwn(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) || absl::IsOutOfRange(status);
}

class Simulation {
 public:
  Simulation(const SimulationInput& input, const nn::ModelDescription& model)
      : input_(input), model_(model), committed_(input.committed_before) {}

  absl::Status Prepare();
  // Rounds until the run is done; `observe` may be empty.
  absl::Status Run(const RoundObserver& observe);
  std::vector<float> TakeParameters() { return std::move(parameters_); }

 private:
  // Who trains at once. Kept from round to round, so that networks are made once.
  struct Worker {
    LocalTrainer trainer;
    int threads;
  };
  struct Outcome {
    std::vector<Contribution> accepted;
    absl::Status first_failure;
  };

  void MakeWorkers();
  absl::StatusOr<SimulatedRound> RunRound(uint64_t round);
  absl::StatusOr<Outcome> TrainRound(AggregationStrategy* strategy, SimulatedRound* out);
  absl::Status Sort(std::span<const std::string> clients, std::vector<absl::StatusOr<Contribution>> done,
                    Outcome* outcome, SimulatedRound* out) const;
  std::vector<absl::StatusOr<Contribution>> TrainClients(uint64_t round, std::span<const std::string> clients,
                                                         AggregationStrategy* strategy);
  absl::StatusOr<Contribution> TrainClient(uint64_t round, const std::string& name, Worker* worker, Mutex* mu,
                                           AggregationStrategy* strategy);
  absl::StatusOr<LocalResult> TrainAndRecord(LocalTask* task, Worker* worker) const;
  absl::Status Commit(const Outcome& outcome, const AggregationStrategy& strategy, SimulatedRound* out);
  absl::Status Abandon(const Outcome& outcome, SimulatedRound* out);
  absl::Status Test(SimulatedRound* out) const;

  const SimulationInput& input_;
  const nn::ModelDescription& model_;
  std::map<std::string, const std::vector<uint32_t>*> parts_;  // of the clients that hold any example
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<float> parameters_;
  uint64_t committed_ = 0, abandoned_in_a_row_ = 0;
};

absl::Status Simulation::Prepare() {
  const v1::RoundPlan& round = input_.plan.round();
  if (round.clients() < std::max(1u, round.min_clients())) {
    return absl::InvalidArgumentError(absl::StrCat("round.clients is ", round.clients(), ", less than min_clients, ",
                                                   std::max(1u, round.min_clients())));
  }
  for (size_t i = 0; i < input_.parts.size(); ++i) {
    if (!input_.parts[i].empty()) parts_[SimulatedClientName(i)] = &input_.parts[i];
  }
  if (parts_.size() < round.min_clients() || parts_.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "only ", parts_.size(), " of the simulated clients hold examples, ", "min_clients is ", round.min_clients()));
  }
  TRB_RETURN_IF_ERROR(CheckCompatible(input_.train, model_));
  parameters_ = input_.initial_parameters;
  if (parameters_.empty()) {
    TRB_ASSIGN_OR_RETURN(parameters_, InitialParameters(model_, input_.plan.seed()));
  }
  if (parameters_.size() != model_.parameter_count()) {
    return absl::InvalidArgumentError(absl::StrCat("the initial model has ", parameters_.size(),
                                                   " parameters, this model needs ", model_.parameter_count()));
  }
  MakeWorkers();
  if (input_.trace != nullptr) TRB_RETURN_IF_ERROR(input_.trace->WriteModel(input_.rounds_before, parameters_));
  return absl::OkStatus();
}

void Simulation::MakeWorkers() {
  const size_t threads = static_cast<size_t>(std::max(1, input_.threads));
  const size_t chosen = std::min<size_t>(std::max(1u, input_.plan.round().clients()), parts_.size());
  const size_t workers = std::min(chosen, threads);
  for (size_t i = 0; i < workers; ++i) {
    const size_t spare = i < threads % workers ? 1 : 0;
    workers_.emplace_back(new Worker{LocalTrainer(model_), static_cast<int>(threads / workers + spare)});
  }
}

absl::StatusOr<LocalResult> Simulation::TrainAndRecord(LocalTask* task, Worker* worker) const {
  if (input_.trace == nullptr) return worker->trainer.Train(*task);
  std::string steps;
  const double rate = task->learning_rate;
  task->record = [&steps, rate](const StepRecord& step) { SimulationTrace::AppendStep(step, rate, &steps); };
  TRB_ASSIGN_OR_RETURN(LocalResult result, worker->trainer.Train(*task));
  TRB_RETURN_IF_ERROR(input_.trace->WriteClient(*task, steps, worker->trainer.parameters()));
  return result;
}

absl::StatusOr<Contribution> Simulation::TrainClient(uint64_t round, const std::string& name, Worker* worker, Mutex* mu,
                                                     AggregationStrategy* strategy) {
  const v1::RunPlan& plan = input_.plan;
  LocalTask task{
      .model = model_, .base = parameters_, .data = input_.train, .indices = *parts_.at(name), .plan = plan.train()};
  task.learning_rate = LearningRateAfter(plan.train(), committed_);
  task.run_seed = plan.seed();
  task.round = round;
  task.client_name = name;
  task.threads = worker->threads;
  task.stop = input_.stop;
  task.clock = input_.clock;
  Contribution contribution;
  TRB_ASSIGN_OR_RETURN(contribution.result, TrainAndRecord(&task, worker));
  const std::vector<float> delta = std::move(contribution.result.delta);
  contribution.result.delta = {};
  TRB_ASSIGN_OR_RETURN(contribution.update_sha256, UpdateDigest(delta));
  const uint64_t cap = plan.aggregate().max_weight() == 0 ? FedAvg::kMaxWeight : plan.aggregate().max_weight();
  contribution.weight = std::min(contribution.result.examples, cap);
  const MutexLock lock(mu);  // the sum is exact: the order in which clients come here is of no account
  TRB_RETURN_IF_ERROR(strategy->Add(delta, contribution.weight));
  return contribution;
}

std::vector<absl::StatusOr<Contribution>> Simulation::TrainClients(uint64_t round, std::span<const std::string> clients,
                                                                   AggregationStrategy* strategy) {
  std::vector<absl::StatusOr<Contribution>> done(clients.size(), absl::CancelledError("not trained"));
  Mutex sum_mu, next_mu;
  size_t next = 0;
  const auto work = [&](Worker* worker) {
    for (;;) {
      size_t i;
      {
        const MutexLock lock(&next_mu);
        if (next == clients.size()) return;
        i = next++;
      }
      done[i] = TrainClient(round, clients[i], worker, &sum_mu, strategy);
      if (done[i].ok() || IsClientsOwn(done[i].status())) continue;
      const MutexLock lock(&next_mu);
      next = clients.size();  // the run is over: nobody begins
    }
  };
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < std::min(workers_.size(), clients.size()); ++i) helpers.emplace_back(work, workers_[i].get());
  work(workers_[0].get());
  for (std::thread& t : helpers) t.join();
  return done;
}

// Files what each client did. A run's trouble counts more than a stop, which may only be what followed from it.
absl::Status Simulation::Sort(std::span<const std::string> clients, std::vector<absl::StatusOr<Contribution>> done,
                              Outcome* outcome, SimulatedRound* out) const {
  absl::Status cancelled;
  for (size_t i = 0; i < done.size(); ++i) {
    if (done[i].ok()) {
      out->clients.push_back(clients[i]);
      outcome->accepted.push_back(*std::move(done[i]));
      continue;
    }
    const absl::Status why = Annotate(done[i].status(), absl::StrCat("round ", out->round, ", ", clients[i]));
    if (absl::IsCancelled(why)) {
      cancelled = why;
    } else if (!IsClientsOwn(why)) {
      return why;
    } else {
      out->failed.emplace_back(clients[i], std::string(done[i].status().message()));
      if (outcome->first_failure.ok()) outcome->first_failure = why;
    }
  }
  return cancelled;
}

// In rank order; the ones behind the wanted number train only in the place of those that could not.
absl::StatusOr<Simulation::Outcome> Simulation::TrainRound(AggregationStrategy* strategy, SimulatedRound* out) {
  const v1::RoundPlan& plan = input_.plan.round();
  std::vector<std::string> ranked;
  for (const auto& [name, part] : parts_) ranked.push_back(name);
  ranked = RankClients(input_.plan.seed(), out->round, std::move(ranked));
  ranked.resize(std::min<size_t>(ranked.size(), InvitationCount(plan.clients(), plan.over_select())));
  Outcome outcome;
  std::span<const std::string> left(ranked);
  while (outcome.accepted.size() < plan.clients() && !left.empty()) {
    const auto now = left.first(std::min<size_t>(left.size(), plan.clients() - outcome.accepted.size()));
    left = left.subspan(now.size());
    TRB_RETURN_IF_ERROR(Sort(now, TrainClients(out->round, now, strategy), &outcome, out));
  }
  return outcome;
}

absl::Status Simulation::Test(SimulatedRound* out) const {
  const uint32_t every = input_.plan.evaluate().every();
  const bool due = every > 0 && (committed_ % every == 0 || committed_ >= input_.plan.rounds());
  if (input_.test == nullptr || !due) return absl::OkStatus();
  TRB_ASSIGN_OR_RETURN(const Evaluation test,
                       Evaluate(model_, parameters_, *input_.test, {.threads = input_.threads, .stop = input_.stop}));
  out->test_loss = test.loss;
  out->test_accuracy = test.accuracy;
  return absl::OkStatus();
}

absl::Status Simulation::Commit(const Outcome& outcome, const AggregationStrategy& strategy, SimulatedRound* out) {
  WeightedMean train_loss, validation_loss, validation_accuracy;
  for (const auto& [result, digest, weight] : outcome.accepted) {
    out->examples += weight;
    out->update_sha256.push_back(digest);
    train_loss.Add(result.train_loss, weight);
    validation_loss.Add(result.validation_loss, weight);
    validation_accuracy.Add(result.validation_accuracy, weight);
  }
  out->train_loss = train_loss.Value();
  out->validation_loss = validation_loss.Value();
  out->validation_accuracy = validation_accuracy.Value();
  TRB_ASSIGN_OR_RETURN(parameters_, strategy.Finish(parameters_, input_.plan.aggregate().server_learning_rate()));
  out->model_sha256 = crypto::Sha256Hex(update::EncodeParameters(parameters_));
  out->committed = ++committed_;
  abandoned_in_a_row_ = 0;
  return absl::OkStatus();
}

absl::Status Simulation::Abandon(const Outcome& outcome, SimulatedRound* out) {
  out->abandoned = true;
  out->clients.clear();
  out->committed = committed_;
  if (++abandoned_in_a_row_ < std::max(1u, input_.plan.round().max_failed_rounds())) return absl::OkStatus();
  return Annotate(
      outcome.first_failure,
      absl::StrCat("max_failed_rounds: ", abandoned_in_a_row_, " rounds in a row were abandoned, the last with ",
                   outcome.accepted.size(), " of at least ", input_.plan.round().min_clients(), " updates"));
}

absl::StatusOr<SimulatedRound> Simulation::RunRound(uint64_t round) {
  const absl::Duration start = input_.clock->Monotonic();
  SimulatedRound out;
  out.round = round;
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<AggregationStrategy> strategy,
                       CreateStrategy(input_.plan.aggregate().strategy(), parameters_.size()));
  TRB_ASSIGN_OR_RETURN(const Outcome outcome, TrainRound(strategy.get(), &out));
  const bool enough = outcome.accepted.size() >= std::max(1u, input_.plan.round().min_clients());
  TRB_RETURN_IF_ERROR(enough ? Commit(outcome, *strategy, &out) : Abandon(outcome, &out));
  out.seconds = absl::ToDoubleSeconds(input_.clock->Monotonic() - start);
  if (!enough) return out;
  if (input_.trace != nullptr) TRB_RETURN_IF_ERROR(input_.trace->WriteModel(round, parameters_));
  TRB_RETURN_IF_ERROR(Test(&out));
  out.last = committed_ >= input_.plan.rounds() || StopReached(input_.plan.stop(), out);
  return out;
}

absl::Status Simulation::Run(const RoundObserver& observe) {
  for (uint64_t round = input_.rounds_before + 1; committed_ < input_.plan.rounds(); ++round) {
    TRB_ASSIGN_OR_RETURN(const SimulatedRound done, RunRound(round));
    if (observe) TRB_RETURN_IF_ERROR(observe(done, parameters_));
    if (done.last) break;
  }
  return absl::OkStatus();
}

}  // namespace

std::string SimulatedClientName(size_t index) { return absl::StrFormat("client-%04d", index + 1); }

absl::StatusOr<std::vector<float>> Simulate(const SimulationInput& input, const RoundObserver& observe) {
  TRB_ASSIGN_OR_RETURN(const nn::ModelDescription model, nn::ModelDescription::FromProto(input.plan.model()));
  Simulation simulation(input, model);
  TRB_RETURN_IF_ERROR(simulation.Prepare());
  TRB_RETURN_IF_ERROR(simulation.Run(observe));
  return simulation.TakeParameters();
}

}  // namespace tributary::learning
