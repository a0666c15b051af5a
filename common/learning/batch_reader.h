// Examples of a data set as batches of a network: scaled inputs, labels or targets. Internal to learning.
// A batch points into the reader and is valid until the next Read. Threads: one at a time.
#ifndef TRIBUTARY_COMMON_LEARNING_BATCH_READER_H_
#define TRIBUTARY_COMMON_LEARNING_BATCH_READER_H_

#include <algorithm>
#include <span>
#include <vector>

#include "common/data/dataset.h"
#include "common/nn/model_description.h"
#include "common/nn/network.h"

namespace tributary::learning {

// Examples that are computed between two polls of a stop token. Larger batches are accumulated from parts of this size,
// which is fixed: it decides the order of sums.
inline constexpr size_t kMicroBatch = 32;

class BatchReader {
 public:
  // Both are borrowed and must outlive the reader; they fit each other (compatibility.h), but that labels may be
  // absent.
  BatchReader(const data::Dataset& data, const nn::ModelDescription& model)
      : data_(data), model_(model), mean_(model.input_mean()), std_(model.input_std()) {}

  nn::Batch Read(std::span<const uint32_t> indices) {
    x_.resize(indices.size() * data_.example_size());
    data::FillBatch(data_, indices, mean_, std_, x_.data());
    nn::Batch batch{.x = x_.data(), .n = indices.size(), .labels = nullptr, .targets = nullptr};
    if (data_.is_regression()) {
      CopyTargets(indices);
      batch.targets = targets_.data();
    } else if (!data_.labels.empty()) {
      labels_.clear();
      for (const uint32_t i : indices) labels_.push_back(data_.labels[i]);
      batch.labels = labels_.data();
    }
    return batch;
  }

 private:
  void CopyTargets(std::span<const uint32_t> indices) {
    const size_t width = model_.output().size();
    targets_.clear();
    for (const uint32_t i : indices) {
      const auto first = data_.targets.begin() + static_cast<std::ptrdiff_t>(i * width);
      targets_.insert(targets_.end(), first, first + static_cast<std::ptrdiff_t>(width));
    }
  }

  const data::Dataset& data_;
  const nn::ModelDescription& model_;
  const std::vector<float> mean_, std_;
  std::vector<float> x_, targets_;
  std::vector<int32_t> labels_;
};

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_BATCH_READER_H_
