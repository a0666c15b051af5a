#include "common/learning/evaluation.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/learning/batch_reader.h"
#include "common/learning/compatibility.h"
#include "common/nn/metrics.h"
#include "common/nn/network.h"

namespace tributary::learning {
namespace {

using Visitor = std::function<void(const nn::Batch& batch)>;

std::vector<uint32_t> ChosenIndices(const data::Dataset& data, const EvaluationOptions& options) {
  if (!options.indices.empty()) return {options.indices.begin(), options.indices.end()};
  std::vector<uint32_t> all(data.count);
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

absl::StatusOr<std::unique_ptr<nn::Network>> LoadNetwork(const nn::ModelDescription& model,
                                                         std::span<const float> parameters, int threads) {
  if (parameters.size() != model.parameter_count()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model takes ", model.parameter_count(), " parameters, got ", parameters.size()));
  }
  TRB_ASSIGN_OR_RETURN(std::unique_ptr<nn::Network> network,
                       nn::Network::Create(model, {.max_batch = kMicroBatch, .threads = threads, .training = false}));
  std::copy(parameters.begin(), parameters.end(), network->parameters().begin());
  return network;
}

absl::Status ForEachBatch(const data::Dataset& data, const nn::ModelDescription& model,
                          const EvaluationOptions& options, const Visitor& visit) {
  const std::vector<uint32_t> chosen = ChosenIndices(data, options);
  if (chosen.empty()) return absl::FailedPreconditionError("no examples");
  if (*std::max_element(chosen.begin(), chosen.end()) >= data.count) {
    return absl::InvalidArgumentError("an index lies beyond the data");
  }
  BatchReader reader(data, model);
  const std::span<const uint32_t> order(chosen);
  for (size_t first = 0; first < order.size(); first += kMicroBatch) {
    if (options.stop && options.stop()) return absl::CancelledError("evaluation was stopped");
    const auto part = order.subspan(first, std::min(kMicroBatch, order.size() - first));
    visit(reader.Read(part));
  }
  return absl::OkStatus();
}

std::string ClassName(const nn::ModelDescription& model, size_t index) {
  return index < model.classes().size() ? model.classes()[index] : absl::StrCat(index);
}

void FillClassScores(const nn::ModelDescription& model, const nn::ConfusionMatrix& confusion, Evaluation* out) {
  out->accuracy = confusion.accuracy();
  const nn::ClassMetrics macro = confusion.macro();
  out->precision = macro.precision;
  out->recall = macro.recall;
  out->f1 = macro.f1;
  const std::vector<nn::ClassMetrics> scores = confusion.per_class();
  for (size_t c = 0; c < scores.size(); ++c) {
    out->per_class.push_back(
        {ClassName(model, c), scores[c].precision, scores[c].recall, scores[c].f1, scores[c].support});
    const auto row = confusion.counts().begin() + static_cast<std::ptrdiff_t>(c * confusion.classes());
    out->confusion.emplace_back(row, row + static_cast<std::ptrdiff_t>(confusion.classes()));
  }
}

// The parts of CheckCompatible that do not ask for labels.
absl::Status CheckInputs(const data::Dataset& data, const nn::ModelDescription& model) {
  DataFacts facts = FactsOf(data);
  facts.classes.clear();
  facts.num_classes = 0;
  return CheckFacts(facts, model);
}

Prediction MakePrediction(const nn::ModelDescription& model, const float* row, size_t width) {
  Prediction p;
  p.probabilities.assign(row, row + width);
  if (model.num_classes() == 0) return p;
  p.index = nn::PredictedClass(row, width);
  p.name = ClassName(model, p.index);
  if (width == 1) p.probabilities = {1.0f - row[0], row[0]};
  return p;
}

}  // namespace

absl::StatusOr<Evaluation> Evaluate(const nn::ModelDescription& model, std::span<const float> parameters,
                                    const data::Dataset& data, const EvaluationOptions& options) {
  TRB_RETURN_IF_ERROR(CheckCompatible(data, model));
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<nn::Network> network, LoadNetwork(model, parameters, options.threads));
  const size_t width = model.output().size();
  std::vector<float> outputs(kMicroBatch * width);
  nn::ConfusionMatrix confusion(model.num_classes());
  nn::RegressionMetrics regression;
  Evaluation result;
  double loss = 0;
  TRB_RETURN_IF_ERROR(ForEachBatch(data, model, options, [&](const nn::Batch& batch) {
    loss += network->EvaluateBatch(batch, outputs.data()).loss_sum;
    result.examples += batch.n;
    if (batch.labels != nullptr) confusion.AddBatch(outputs.data(), width, batch.labels, batch.n);
    if (batch.targets != nullptr) regression.Add(outputs.data(), batch.targets, batch.n * width);
  }));
  result.loss = loss / static_cast<double>(result.examples);
  if (model.num_classes() > 0) {
    FillClassScores(model, confusion, &result);
  } else {
    result.mean_absolute_error = regression.mae();
  }
  return result;
}

absl::StatusOr<std::vector<Prediction>> Predict(const nn::ModelDescription& model, std::span<const float> parameters,
                                                const data::Dataset& data, const EvaluationOptions& options) {
  TRB_RETURN_IF_ERROR(CheckInputs(data, model));
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<nn::Network> network, LoadNetwork(model, parameters, options.threads));
  const size_t width = model.output().size();
  std::vector<float> outputs(kMicroBatch * width);
  std::vector<Prediction> predictions;
  TRB_RETURN_IF_ERROR(ForEachBatch(data, model, options, [&](const nn::Batch& batch) {
    network->Predict(batch.x, batch.n, outputs.data());
    for (size_t i = 0; i < batch.n; ++i) predictions.push_back(MakePrediction(model, &outputs[i * width], width));
  }));
  return predictions;
}

}  // namespace tributary::learning
