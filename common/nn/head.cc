#include "common/nn/head.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "common/base/status.h"
#include "common/nn/metrics.h"

namespace tributary::nn {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

Head::Head(const ModelDescription& model, size_t max_batch)
    : loss_(model.loss()),
      activation_(model.layers().back().activation),
      values_(model.output().size()),
      outputs_(max_batch * values_),
      log_sums_(max_batch * model.output().h * model.output().w),
      bits_(max_batch),
      losses_(max_batch) {}

void Head::Activate(const Kernels& kernels, size_t n, const float* logits) {
  kernels_ = &kernels;
  if (activation_ == Activation::kSoftmax) {
    const size_t rows = n * log_sums_.size() / bits_.size();
    return kernels.softmax(logits, rows, n * values_ / rows, outputs_.data(), log_sums_.data());
  }
  std::memcpy(outputs_.data(), logits, n * values_ * sizeof(float));
  ApplyActivation(kernels, activation_, outputs_.data(), n * values_);
}

BatchResult Head::Loss(const Kernels& kernels, const Batch& batch, const float* logits) {
  switch (loss_) {
    case nn::Loss::kSparseCategoricalCrossentropy:
      TRB_CHECK(batch.labels != nullptr);
      Activate(kernels, batch.n, logits);
      return CrossEntropy(batch, logits);
    case nn::Loss::kBinaryCrossentropy:
      TRB_CHECK(batch.labels != nullptr);
      for (size_t i = 0; i < batch.n; ++i) bits_.data()[i] = static_cast<float>(batch.labels[i]);
      kernels.binary_loss(logits, bits_.data(), batch.n, outputs_.data(), losses_.data());
      return BinaryCrossEntropy(batch);
    case nn::Loss::kMeanSquaredError:
      TRB_CHECK(batch.targets != nullptr);
      Activate(kernels, batch.n, logits);
      return SquaredError(batch);
  }
  return {};
}

BatchResult Head::CrossEntropy(const Batch& batch, const float* logits) const {
  BatchResult result;
  for (size_t i = 0; i < batch.n; ++i) {
    const int32_t label = batch.labels[i];
    if (label < 0 || static_cast<size_t>(label) >= values_) {
      result.loss_sum = kNan;
      continue;
    }
    const size_t at = static_cast<size_t>(label);
    result.loss_sum += static_cast<double>(log_sums_.data()[i]) - static_cast<double>(logits[i * values_ + at]);
    if (PredictedClass(outputs_.data() + i * values_, values_) == at) ++result.correct;
  }
  return result;
}

BatchResult Head::BinaryCrossEntropy(const Batch& batch) const {
  BatchResult result;
  for (size_t i = 0; i < batch.n; ++i) {
    const int32_t label = batch.labels[i];
    result.loss_sum += label == 0 || label == 1 ? static_cast<double>(losses_.data()[i]) : kNan;
    if (PredictedClass(outputs_.data() + i, 1) == static_cast<size_t>(label)) ++result.correct;
  }
  return result;
}

BatchResult Head::SquaredError(const Batch& batch) const {
  BatchResult result;
  for (size_t i = 0; i < batch.n; ++i) {
    double sum = 0;
    for (size_t j = i * values_; j < (i + 1) * values_; ++j) {
      const double error = static_cast<double>(outputs_.data()[j]) - static_cast<double>(batch.targets[j]);
      sum += error * error;
    }
    result.loss_sum += sum / static_cast<double>(values_);
  }
  return result;
}

void Head::Gradient(const Batch& batch, size_t batch_examples, float* d_logits) const {
  if (loss_ == nn::Loss::kMeanSquaredError) return SquaredErrorGradient(batch, batch_examples, d_logits);
  const float share = 1.0f / static_cast<float>(batch_examples);
  // Softmax and sigmoid alike: (probability - truth) / examples.
  for (size_t i = 0; i < batch.n; ++i) {
    const float* p = outputs_.data() + i * values_;
    const size_t label = static_cast<size_t>(batch.labels[i]);
    for (size_t j = 0; j < values_; ++j) {
      const float truth = values_ == 1 ? static_cast<float>(batch.labels[i]) : (j == label ? 1.0f : 0.0f);
      d_logits[i * values_ + j] = (p[j] - truth) * share;
    }
  }
}

void Head::SquaredErrorGradient(const Batch& batch, size_t batch_examples, float* d_logits) const {
  const float share = 2.0f / (static_cast<float>(values_) * static_cast<float>(batch_examples));
  const size_t total = batch.n * values_;
  for (size_t j = 0; j < total; ++j) d_logits[j] = (outputs_.data()[j] - batch.targets[j]) * share;
  if (activation_ != Activation::kSoftmax) {
    return ActivationBackward(*kernels_, activation_, outputs_.data(), d_logits, total);
  }
  const size_t rows = batch.n * log_sums_.size() / bits_.size(), width = total / rows;
  for (size_t row = 0; row < rows; ++row) {
    const float* p = outputs_.data() + row * width;
    float* d = d_logits + row * width;
    float inner = 0;
    for (size_t j = 0; j < width; ++j) inner += p[j] * d[j];
    for (size_t j = 0; j < width; ++j) d[j] = p[j] * (d[j] - inner);
  }
}

}  // namespace tributary::nn
