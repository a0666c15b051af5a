#include "common/nn/metrics.h"

#include <cmath>

#include "common/base/status.h"

namespace tributary::nn {
namespace {

double Ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

size_t PredictedClass(const float* probabilities, size_t outputs) {
  if (outputs == 1) return probabilities[0] > 0.5f ? 1 : 0;
  size_t best = 0;
  for (size_t i = 0; i < outputs; ++i) {
    if (std::isnan(probabilities[i])) return i;
    if (probabilities[i] > probabilities[best]) best = i;
  }
  return best;
}

void ConfusionMatrix::AddBatch(const float* probabilities, size_t outputs, const int32_t* labels, size_t n) {
  TRB_CHECK(outputs == classes_ || (outputs == 1 && classes_ == 2));
  for (size_t i = 0; i < n; ++i) {
    TRB_CHECK(labels[i] >= 0 && static_cast<size_t>(labels[i]) < classes_);
    Add(static_cast<size_t>(labels[i]), PredictedClass(probabilities + i * outputs, outputs));
  }
}

void ConfusionMatrix::Merge(const ConfusionMatrix& other) {
  TRB_CHECK(other.classes_ == classes_);
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

uint64_t ConfusionMatrix::total() const {
  uint64_t sum = 0;
  for (const uint64_t c : counts_) sum += c;
  return sum;
}

uint64_t ConfusionMatrix::correct() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < classes_; ++i) sum += count(i, i);
  return sum;
}

double ConfusionMatrix::accuracy() const { return Ratio(static_cast<double>(correct()), static_cast<double>(total())); }

std::vector<ClassMetrics> ConfusionMatrix::per_class() const {
  std::vector<ClassMetrics> all(classes_);
  for (size_t k = 0; k < classes_; ++k) {
    uint64_t predicted = 0;
    for (size_t i = 0; i < classes_; ++i) {
      all[k].support += count(k, i);
      predicted += count(i, k);
    }
    const double hits = static_cast<double>(count(k, k));
    all[k].precision = Ratio(hits, static_cast<double>(predicted));
    all[k].recall = Ratio(hits, static_cast<double>(all[k].support));
    // 2PR / (P + R), in counts: exact where P and R are not.
    all[k].f1 = Ratio(2 * hits, static_cast<double>(predicted + all[k].support));
  }
  return all;
}

ClassMetrics ConfusionMatrix::macro() const {
  ClassMetrics mean;
  for (const ClassMetrics& m : per_class()) {
    mean.precision += m.precision;
    mean.recall += m.recall;
    mean.f1 += m.f1;
    mean.support += m.support;
  }
  const double classes = static_cast<double>(classes_);
  mean.precision = Ratio(mean.precision, classes);
  mean.recall = Ratio(mean.recall, classes);
  mean.f1 = Ratio(mean.f1, classes);
  return mean;
}

void RegressionMetrics::Add(const float* predictions, const float* targets, size_t values) {
  for (size_t i = 0; i < values; ++i) {
    const double error = static_cast<double>(predictions[i]) - static_cast<double>(targets[i]);
    squared_ += error * error;
    absolute_ += std::fabs(error);
  }
  values_ += values;
}

void RegressionMetrics::Merge(const RegressionMetrics& other) {
  squared_ += other.squared_;
  absolute_ += other.absolute_;
  values_ += other.values_;
}

double RegressionMetrics::mse() const { return values_ ? squared_ / static_cast<double>(values_) : 0; }
double RegressionMetrics::mae() const { return values_ ? absolute_ / static_cast<double>(values_) : 0; }

}  // namespace tributary::nn
