// Classification and regression metrics. Counts are exact, so metrics of parts add up: collect one object a part and
// Merge, never average the ratios.
#ifndef TRIBUTARY_COMMON_NN_METRICS_H_
#define TRIBUTARY_COMMON_NN_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tributary::nn {

// The class that a network's output row stands for: the first largest value; for one sigmoid unit, 1 when p > 0.5.
// A row with a NaN gives the first NaN's index (one unit: 0). `outputs` >= 1.
size_t PredictedClass(const float* probabilities, size_t outputs);

struct ClassMetrics {
  double precision = 0, recall = 0, f1 = 0;  // 0/0 = 0
  uint64_t support = 0;                      // examples whose true class this is
};

// Rows are true classes, columns predicted ones.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(size_t classes) : classes_(classes), counts_(classes * classes) {}

  // Both below classes().
  void Add(size_t true_class, size_t predicted_class) { ++counts_[true_class * classes_ + predicted_class]; }
  // n rows of network output (outputs = classes(), or 1 for a sigmoid unit with two classes) with labels in range.
  void AddBatch(const float* probabilities, size_t outputs, const int32_t* labels, size_t n);
  // Same number of classes.
  void Merge(const ConfusionMatrix& other);

  size_t classes() const { return classes_; }
  uint64_t count(size_t true_class, size_t predicted_class) const {
    return counts_[true_class * classes_ + predicted_class];
  }
  const std::vector<uint64_t>& counts() const { return counts_; }  // row by row
  uint64_t total() const;
  uint64_t correct() const;

  double accuracy() const;  // 0 when empty
  std::vector<ClassMetrics> per_class() const;
  // Precision, recall and F1: the mean over ALL classes of the per-class values (a class never seen counts as 0);
  // support: the total.
  ClassMetrics macro() const;

 private:
  size_t classes_;
  std::vector<uint64_t> counts_;
};

// Mean squared and mean absolute error over all output values.
class RegressionMetrics {
 public:
  void Add(const float* predictions, const float* targets, size_t values);
  void Merge(const RegressionMetrics& other);
  uint64_t values() const { return values_; }
  double mse() const;  // 0 when empty
  double mae() const;

 private:
  double squared_ = 0, absolute_ = 0;
  uint64_t values_ = 0;
};

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_METRICS_H_
