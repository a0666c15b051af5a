#include "common/learning/local_trainer.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/learning/batch_reader.h"
#include "common/learning/compatibility.h"
#include "common/learning/precision.h"
#include "common/learning/seeds.h"
#include "common/nn/engine.h"
#include "common/nn/network.h"
#include "common/nn/optimizer.h"
#include "common/update/update_codec.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::learning {
namespace {

absl::StatusOr<nn::OptimizerKind> KindOf(v1::Optimizer optimizer) {
  switch (optimizer) {
    case v1::OPTIMIZER_SGD:
      return nn::OptimizerKind::kSgd;
    case v1::OPTIMIZER_MOMENTUM:
      return nn::OptimizerKind::kMomentum;
    case v1::OPTIMIZER_ADAM:
      return nn::OptimizerKind::kAdam;
    default:
      return absl::InvalidArgumentError(absl::StrCat("unknown optimizer ", static_cast<int>(optimizer)));
  }
}

absl::Status CheckTask(const LocalTask& task) {
  const v1::TrainPlan& plan = task.plan;
  if (task.base.size() != task.model.parameter_count()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the base model has ", task.base.size(), " parameters, not ", task.model.parameter_count()));
  }
  if (!(task.learning_rate > 0) || !std::isfinite(task.learning_rate)) {
    return absl::InvalidArgumentError(absl::StrCat("learning rate ", task.learning_rate, " is not above 0"));
  }
  if (plan.epochs() < 1 || plan.epochs() > 1000) return absl::InvalidArgumentError("epochs must be 1 to 1000");
  if (!(plan.validation_split() >= 0 && plan.validation_split() < 1)) {
    return absl::InvalidArgumentError("validation_split must be in [0, 1)");
  }
  if (plan.momentum() != 0 && plan.momentum() != kEngineMomentum) {
    return absl::InvalidArgumentError(
        absl::StrCat("momentum ", plan.momentum(), " is not supported, only ", kEngineMomentum, " is"));
  }
  const auto beyond = [&task](uint32_t i) { return i >= task.data.count; };
  if (std::any_of(task.indices.begin(), task.indices.end(), beyond)) {
    return absl::InvalidArgumentError("an index lies beyond the data");
  }
  return CheckCompatible(task.data, task.model);
}

absl::StatusOr<std::unique_ptr<nn::Optimizer>> MakeOptimizer(const LocalTask& task) {
  nn::Optimizer::Options options;
  TRB_ASSIGN_OR_RETURN(options.kind, KindOf(task.plan.optimizer()));
  options.weight_decay = static_cast<float>(task.plan.weight_decay());
  options.clip_norm = static_cast<float>(task.plan.clip_norm());
  options.threads = task.threads;
  return nn::Optimizer::Create(task.model, options);
}

// Keras splits by position: a sorted data set puts whole classes into the validation part.
void WarnOfOneSidedSplit(const data::Dataset& data, std::span<const uint32_t> train,
                         std::span<const uint32_t> validation, std::vector<std::string>* warnings) {
  if (validation.empty() || data.labels.empty()) return;
  std::set<int32_t> missing, seen;
  for (const uint32_t i : validation) seen.insert(data.labels[i]);
  for (const uint32_t i : train) {
    if (seen.count(data.labels[i]) == 0) missing.insert(data.labels[i]);
  }
  if (missing.empty()) return;
  warnings->push_back(absl::StrCat("the validation part (the last ", validation.size(), " examples) lacks the labels ",
                                   absl::StrJoin(missing, ", ")));
}

absl::Status Stopped() { return absl::CancelledError("training was stopped"); }

// Whether a step is one pass: its batch is computed at once, and no norm over all gradients is needed before the
// update.
bool StepsAreFused(const v1::TrainPlan& plan) {
  return plan.batch_size() != 0 && plan.batch_size() <= kMicroBatch && plan.clip_norm() == 0;
}

absl::StatusOr<nn::Network::Options> NetworkOptions(const v1::TrainPlan& plan, int threads) {
  nn::Network::Options options;
  options.max_batch = plan.batch_size() == 0 ? kMicroBatch : std::min<size_t>(kMicroBatch, plan.batch_size());
  options.threads = threads;
  options.gradients = !StepsAreFused(plan);
  TRB_ASSIGN_OR_RETURN(options.precision, ResolvePrecision(plan.precision()));
  return options;
}

// One call of TrainLocally.
class LocalTraining {
 public:
  LocalTraining(const LocalTask& task, nn::Network* network, nn::Optimizer* optimizer)
      : task_(task),
        network_(*network),
        optimizer_(*optimizer),
        fused_(StepsAreFused(task.plan)),
        reader_(task.data, task.model),
        shuffle_(DeriveSeed(task.run_seed, task.round, task.client_name, kShufflePurpose)) {}

  // FAILED_PRECONDITION when nothing is left to train on.
  absl::Status Split();
  absl::Status Train();
  absl::Status Validate();
  absl::StatusOr<LocalResult> TakeResult();

 private:
  absl::Status TrainEpoch();
  absl::Status TrainStep(std::span<const uint32_t> batch);
  absl::Status EndStep(std::span<const uint32_t> batch, double loss);
  float LearningRate() const { return static_cast<float>(task_.learning_rate); }
  bool StopAsked() const { return task_.stop && task_.stop(); }
  size_t BatchSize() const { return task_.plan.batch_size() == 0 ? train_.size() : task_.plan.batch_size(); }

  const LocalTask& task_;
  nn::Network& network_;
  nn::Optimizer& optimizer_;
  const bool fused_;
  BatchReader reader_;
  Rng shuffle_;
  std::vector<uint32_t> train_, validation_;
  uint64_t steps_total_ = 0;
  double loss_sum_ = 0;
  LocalResult result_;
};

absl::Status LocalTraining::Split() {
  train_.assign(task_.indices.begin(), task_.indices.end());
  if (train_.empty()) {
    train_.resize(task_.data.count);
    std::iota(train_.begin(), train_.end(), 0u);
  }
  const uint64_t all = train_.size(), kept = TrainingExamples(all, task_.plan.validation_split());
  if (kept == 0) {
    return absl::FailedPreconditionError(absl::StrCat("a validation split of ", task_.plan.validation_split(),
                                                      " leaves none of ", all, " examples to train on"));
  }
  validation_.assign(train_.begin() + static_cast<std::ptrdiff_t>(kept), train_.end());
  train_.resize(kept);
  steps_total_ = task_.plan.epochs() * ((kept + BatchSize() - 1) / BatchSize());
  WarnOfOneSidedSplit(task_.data, train_, validation_, &result_.warnings);
  return absl::OkStatus();
}

absl::Status LocalTraining::Train() {
  network_.SetDropoutSeed(DeriveSeed(task_.run_seed, task_.round, task_.client_name, kDropoutPurpose));
  for (uint32_t epoch = 0; epoch < task_.plan.epochs(); ++epoch) TRB_RETURN_IF_ERROR(TrainEpoch());
  return absl::OkStatus();
}

absl::Status LocalTraining::TrainEpoch() {
  // The whole set in one step has no order to draw: it is accumulated as stored.
  if (task_.plan.batch_size() != 0) Shuffle(&train_, &shuffle_);
  const std::span<const uint32_t> order(train_);
  for (size_t begin = 0; begin < order.size(); begin += BatchSize()) {
    TRB_RETURN_IF_ERROR(TrainStep(order.subspan(begin, std::min(BatchSize(), order.size() - begin))));
  }
  return absl::OkStatus();
}

absl::Status LocalTraining::TrainStep(std::span<const uint32_t> batch) {
  double loss = 0;
  if (fused_) {
    if (StopAsked()) return Stopped();
    loss = network_.TrainStep(reader_.Read(batch), {.step = result_.steps}, LearningRate(), &optimizer_).loss_sum;
    return EndStep(batch, loss);
  }
  network_.ZeroGradients();
  for (size_t first = 0; first < batch.size(); first += kMicroBatch) {
    if (StopAsked()) return Stopped();
    const nn::Batch part = reader_.Read(batch.subspan(first, std::min(kMicroBatch, batch.size() - first)));
    const nn::StepInfo info{.batch_examples = batch.size(), .first_example = first, .step = result_.steps};
    loss += network_.TrainBatch(part, info).loss_sum;
  }
  if (std::isfinite(loss)) optimizer_.Step(network_.parameters(), network_.gradients(), LearningRate());
  return EndStep(batch, loss);
}

absl::Status LocalTraining::EndStep(std::span<const uint32_t> batch, double loss) {
  if (!std::isfinite(loss)) {
    return absl::OutOfRangeError(
        absl::StrCat("the loss was not finite at step ", result_.steps + 1, " of ", steps_total_));
  }
  loss_sum_ += loss;
  ++result_.steps;
  if (task_.record) task_.record({result_.steps, batch, loss / static_cast<double>(batch.size())});
  if (task_.progress) task_.progress(result_.steps, steps_total_);
  return absl::OkStatus();
}

absl::Status LocalTraining::Validate() {
  result_.validation_examples = validation_.size();
  if (validation_.empty()) return absl::OkStatus();
  double loss = 0;
  uint64_t correct = 0;
  const std::span<const uint32_t> order(validation_);
  for (size_t first = 0; first < order.size(); first += kMicroBatch) {
    if (StopAsked()) return Stopped();
    const nn::Batch part = reader_.Read(order.subspan(first, std::min(kMicroBatch, order.size() - first)));
    const nn::BatchResult r = network_.EvaluateBatch(part, nullptr);
    loss += r.loss_sum;
    correct += r.correct;
  }
  const auto n = static_cast<double>(order.size());
  if (!std::isfinite(loss)) return absl::OutOfRangeError("the validation loss is not finite");
  result_.validation_loss = loss / n;
  if (task_.model.num_classes() > 0) result_.validation_accuracy = static_cast<double>(correct) / n;
  return absl::OkStatus();
}

absl::StatusOr<LocalResult> LocalTraining::TakeResult() {
  const std::span<const float> local = network_.parameters();
  result_.delta.resize(local.size());
  for (size_t i = 0; i < local.size(); ++i) result_.delta[i] = local[i] - task_.base[i];
  result_.update_norm = update::EuclideanNorm(result_.delta);
  if (!std::isfinite(result_.update_norm)) return absl::OutOfRangeError("the trained model is not finite");
  const auto too_large = [](float v) { return !(std::fabs(v) < update::kDeltaLimit); };
  if (std::any_of(result_.delta.begin(), result_.delta.end(), too_large)) {
    return absl::OutOfRangeError("a parameter moved by 2^20 or more: training diverged");
  }
  result_.examples = train_.size();
  result_.train_loss = loss_sum_ / (static_cast<double>(train_.size()) * task_.plan.epochs());
  return std::move(result_);
}

}  // namespace

uint64_t TrainingExamples(uint64_t examples, double validation_split) {
  return static_cast<uint64_t>(std::floor(static_cast<double>(examples) * (1.0 - validation_split)));
}

LocalTrainer::LocalTrainer(const nn::ModelDescription& model) : model_(model) {}
LocalTrainer::~LocalTrainer() = default;

absl::StatusOr<double> TrainingBytes(const nn::ModelDescription& model, const v1::TrainPlan& plan, int threads) {
  TRB_ASSIGN_OR_RETURN(const nn::Network::Options options, NetworkOptions(plan, threads));
  TRB_ASSIGN_OR_RETURN(const double network, nn::Network::NeededBytes(model, options));
  // The base, and two arrays more: Adam's, or as many as the delta at the end.
  const int arrays = 1 + (plan.optimizer() == v1::OPTIMIZER_ADAM ? 2 : 1);
  return network + arrays * sizeof(float) * static_cast<double>(model.parameter_count());
}

absl::Status LocalTrainer::MakeNetwork(const LocalTask& task) {
  TRB_ASSIGN_OR_RETURN(const nn::Network::Options options, NetworkOptions(task.plan, task.threads));
  if (network_ != nullptr && options == options_) return absl::OkStatus();
  network_.reset();  // before the next one takes memory
  TRB_ASSIGN_OR_RETURN(network_, nn::Network::Create(model_, options));
  options_ = options;
  return absl::OkStatus();
}

absl::StatusOr<LocalResult> LocalTrainer::Train(const LocalTask& task) {
  TRB_CHECK(&task.model == &model_);
  const absl::Duration start = task.clock->Monotonic();
  TRB_RETURN_IF_ERROR(CheckTask(task));
  TRB_RETURN_IF_ERROR(MakeNetwork(task));
  TRB_ASSIGN_OR_RETURN(std::unique_ptr<nn::Optimizer> optimizer, MakeOptimizer(task));
  std::copy(task.base.begin(), task.base.end(), network_->parameters().begin());
  LocalTraining training(task, network_.get(), optimizer.get());
  TRB_RETURN_IF_ERROR(training.Split());
  TRB_RETURN_IF_ERROR(training.Train());
  TRB_RETURN_IF_ERROR(training.Validate());
  optimizer.reset();  // its state makes room for the delta; nothing below takes a step
  TRB_ASSIGN_OR_RETURN(LocalResult result, training.TakeResult());
  result.engine = nn::EngineName(options_.precision);
  result.train_ms = absl::ToInt64Milliseconds(task.clock->Monotonic() - start);
  return result;
}

std::span<const float> LocalTrainer::parameters() const {
  if (network_ == nullptr) return {};
  return std::as_const(*network_).parameters();
}

absl::StatusOr<LocalResult> TrainLocally(const LocalTask& task) { return LocalTrainer(task.model).Train(task); }

}  // namespace tributary::learning
