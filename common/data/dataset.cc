#include "common/data/dataset.h"

#include <algorithm>

namespace tributary::data {
namespace {

template <class T>
void CopyRows(const std::vector<T>& from, size_t row, std::span<const uint32_t> indices, std::vector<T>* to) {
  if (from.empty()) return;
  to->reserve(indices.size() * row);
  for (const uint32_t i : indices) to->insert(to->end(), from.begin() + i * row, from.begin() + (i + 1) * row);
}

// The value of each byte in each channel, so that the division is done once and not per pixel.
std::vector<float> ByteTable(std::span<const float> mean, std::span<const float> std) {
  std::vector<float> table(mean.size() * 256);
  for (size_t c = 0; c < mean.size(); ++c) {
    for (size_t v = 0; v < 256; ++v) table[c * 256 + v] = (static_cast<float>(v) / 255.0f - mean[c]) / std[c];
  }
  return table;
}

void FillImages(const Dataset& data, std::span<const uint32_t> indices, const std::vector<float>& table, float* out) {
  const size_t size = data.example_size(), channels = data.channels;
  for (const uint32_t i : indices) {
    const uint8_t* in = data.pixels.data() + i * size;
    if (channels == 1) {
      for (size_t k = 0; k < size; ++k) out[k] = table[in[k]];
    } else {
      for (size_t k = 0, c = 0; k < size; ++k, c = c + 1 == channels ? 0 : c + 1) out[k] = table[c * 256 + in[k]];
    }
    out += size;
  }
}

}  // namespace

Dataset Dataset::Select(std::span<const uint32_t> indices) const {
  Dataset out;
  out.count = indices.size();
  out.height = height;
  out.width = width;
  out.channels = channels;
  out.classes = classes;
  out.num_classes = num_classes;
  CopyRows(pixels, example_size(), indices, &out.pixels);
  CopyRows(features, example_size(), indices, &out.features);
  CopyRows(labels, 1, indices, &out.labels);
  CopyRows(targets, 1, indices, &out.targets);
  return out;
}

void FillBatch(const Dataset& data, std::span<const uint32_t> indices, std::span<const float> mean,
               std::span<const float> std, float* out) {
  if (data.is_images()) {
    FillImages(data, indices, ByteTable(mean, std), out);
    return;
  }
  const size_t size = data.example_size(), channels = data.channels;
  for (const uint32_t i : indices) {
    const float* in = data.features.data() + i * size;
    for (size_t k = 0, c = 0; k < size; ++k, c = c + 1 == channels ? 0 : c + 1) out[k] = (in[k] - mean[c]) / std[c];
    out += size;
  }
}

}  // namespace tributary::data
