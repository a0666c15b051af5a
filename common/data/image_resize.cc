#include "common/data/image_resize.h"

#include <algorithm>
#include <cmath>

namespace tributary::data {
namespace {

// out[i] = sum of weight * in[first + k], weights adding up to 1.
struct Tap {
  size_t first = 0;
  std::vector<float> weights;
};
using Taps = std::vector<Tap>;

Taps AreaTaps(size_t from, size_t to) {
  Taps taps(to);
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  for (size_t i = 0; i < to; ++i) {
    const double begin = scale * static_cast<double>(i), end = std::min(begin + scale, static_cast<double>(from));
    taps[i].first = std::min(static_cast<size_t>(begin), from - 1);
    const size_t last = std::min(static_cast<size_t>(std::ceil(end)), from);
    for (size_t k = taps[i].first; k < last; ++k) {
      const double covered = std::min(end, static_cast<double>(k) + 1) - std::max(begin, static_cast<double>(k));
      taps[i].weights.push_back(static_cast<float>(covered / (end - begin)));
    }
  }
  return taps;
}

Taps LinearTaps(size_t from, size_t to) {
  Taps taps(to);
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  for (size_t i = 0; i < to; ++i) {
    const double centre = std::clamp((static_cast<double>(i) + 0.5) * scale - 0.5, 0.0, static_cast<double>(from - 1));
    taps[i].first = static_cast<size_t>(centre);
    const auto part = static_cast<float>(centre - std::floor(centre));
    taps[i].weights = {1 - part};
    if (taps[i].first + 1 < from) taps[i].weights.push_back(part);
  }
  return taps;
}

std::vector<float> AlongRows(const Image& image, const Taps& taps) {
  const size_t n = image.channels;
  std::vector<float> out(image.height * taps.size() * n);
  float* to = out.data();
  for (size_t y = 0; y < image.height; ++y) {
    const uint8_t* row = image.pixels.data() + y * image.width * n;
    for (const Tap& tap : taps) {
      for (size_t c = 0; c < n; ++c) {
        float sum = 0;
        for (size_t k = 0; k < tap.weights.size(); ++k) sum += tap.weights[k] * row[(tap.first + k) * n + c];
        *to++ = sum;
      }
    }
  }
  return out;
}

}  // namespace

Image Resize(Image image, size_t height, size_t width) {
  if (image.height == height && image.width == width) return image;
  const bool shrinks = height <= image.height && width <= image.width;
  const Taps rows = shrinks ? AreaTaps(image.height, height) : LinearTaps(image.height, height);
  const std::vector<float> wide =
      AlongRows(image, shrinks ? AreaTaps(image.width, width) : LinearTaps(image.width, width));
  const size_t row = width * image.channels;
  Image out{height, width, image.channels, std::vector<uint8_t>(height * row)};
  for (size_t y = 0; y < height; ++y) {
    for (size_t x = 0; x < row; ++x) {
      float sum = 0;
      for (size_t k = 0; k < rows[y].weights.size(); ++k)
        sum += rows[y].weights[k] * wide[(rows[y].first + k) * row + x];
      out.pixels[y * row + x] = static_cast<uint8_t>(std::clamp(sum + 0.5f, 0.0f, 255.0f));
    }
  }
  return out;
}

}  // namespace tributary::data
