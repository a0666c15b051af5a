// Examples in memory: images as bytes (height x width x channels, channels-last, uint8) or feature rows as float, with
// integer labels or float targets. Immutable once built; safe to read from any thread.
#ifndef TRIBUTARY_COMMON_DATA_DATASET_H_
#define TRIBUTARY_COMMON_DATA_DATASET_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tributary::data {

class Dataset {
 public:
  // Exactly one of `pixels` and `features` is used, exactly one of `labels` and `targets`.
  size_t count = 0;
  size_t height = 1, width = 1, channels = 1;  // rows of features: 1 x 1 x n
  std::vector<uint8_t> pixels;       // count * height * width * channels; image i starts at i * example_size()
  std::vector<float> features;       // likewise
  std::vector<int32_t> labels;       // in [0, num_classes)
  std::vector<float> targets;        // regression
  std::vector<std::string> classes;  // class names by label; empty when labels are plain integers
  size_t num_classes = 0;            // 0 for regression; else 1 + the largest label, or classes.size()

  size_t example_size() const { return height * width * channels; }
  bool is_images() const { return !pixels.empty() || features.empty(); }
  bool is_regression() const { return !targets.empty(); }

  // The examples of `indices`, in that order (duplicates allowed). Indices must be < count.
  Dataset Select(std::span<const uint32_t> indices) const;
};

// Writes examples `indices` as float32, scaled: images (byte/255 - mean[c]) / std[c], features (x - mean) / std.
// `mean` and `std` hold one value per channel. `out` has indices.size() * example_size() floats.
// The division by 255 is exact float32 division and mean 0 / std 1 changes no bit.
void FillBatch(const Dataset& data, std::span<const uint32_t> indices, std::span<const float> mean,
               std::span<const float> std, float* out);

}  // namespace tributary::data

#endif  // TRIBUTARY_COMMON_DATA_DATASET_H_
