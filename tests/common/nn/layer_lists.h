// Layer lists beyond what anybody would write down: drawn from a seed, bounded in work, with data for one pass.
#ifndef TRIBUTARY_TESTS_COMMON_NN_LAYER_LISTS_H_
#define TRIBUTARY_TESTS_COMMON_NN_LAYER_LISTS_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "tests/common/nn/models.h"
#include "tests/common/nn/whole_network.h"

namespace tributary::nn {

// What the values are. kCoarse: small integers, so that float32 makes no rounding error at all, in any order of
// summation, and every engine must give the reference's value to the last bit, through ReLU and max pools too.
// kFine: real numbers through linear layers, where the error has a bound.
enum class Values { kCoarse, kFine };

class LayerListDrawer {
 public:
  LayerListDrawer(uint64_t seed, Values values) : rng_(seed), coarse_(values == Values::kCoarse) {}

  // Draws until the work of a forward pass over the batch is within bounds.
  Case Draw() {
    for (;;) {
      const ModelDescription model = Model(DrawText());
      const size_t n = Pick({1, 2, 3, 5, 8, 13, 31, 32, 33, 64, 65, 127, 256, 512});
      const double work = static_cast<double>(n) * Products(model);
      if (work > 2e4 && work < 2e6 && model.parameter_count() < 400000) return Fill(model, n);
    }
  }
  // The data for a model that was chosen.
  Case Fill(const ModelDescription& model, size_t n) {
    Case c{model, Examples(model, n, rng_.Below(1u << 30)), RandomFloats(model.parameter_count(), rng_.Below(1u << 30)),
           coarse_ ? std::bit_ceil(n) : n};  // a power of two divides without an error
    if (coarse_) {
      for (float& v : c.examples.x) v = Ternary(0.6);
      for (float& v : c.examples.targets) v = Ternary(0.6);
    }
    for (const LayerSpec& l : model.layers()) FillLayer(l, &c.parameters);
    return c;
  }

 private:
  static double Products(const ModelDescription& model) {
    double products = 0;
    for (const LayerSpec& l : model.layers()) products += static_cast<double>(l.out.h * l.out.w * l.kernel_size);
    return products;
  }
  size_t Pick(std::initializer_list<size_t> from) { return from.begin()[rng_.Below(from.size())]; }
  bool Coin() { return rng_.Below(2) == 1; }
  float Ternary(double nonzero) {
    if (static_cast<double>(rng_.UniformFloat()) >= nonzero) return 0;
    return Coin() ? 1 : -1;
  }
  // Few enough ones that sums over layers stay small integers; or values that neither grow nor shrink.
  void FillLayer(const LayerSpec& l, std::vector<float>* parameters) {
    if (l.kernel_size == 0) return;
    const double fan =
        std::sqrt(static_cast<double>(l.kernel_size / l.out.c) * static_cast<double>(l.kernel_size / l.in.c));
    for (size_t i = l.kernel_offset; i < l.kernel_offset + l.kernel_size + l.bias_size; ++i) {
      const bool bias = i >= l.kernel_offset + l.kernel_size;
      float& w = (*parameters)[i];
      w = coarse_ ? Ternary(bias ? 0.5 : std::min(0.6, 8 / fan)) : w / static_cast<float>(std::sqrt(fan));
    }
  }

  size_t Channels() { return Pick({1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 64, 65, 128, 512}); }
  std::string Activation() { return coarse_ && Coin() ? " activation: ACTIVATION_RELU" : ""; }

  // Follows the shape so that no window is larger than what it slides over.
  std::string DrawText() {
    std::string text;
    size_t h = 1 + rng_.Below(15), w = 1 + rng_.Below(15);
    const size_t convolutions = rng_.Below(4);
    if (convolutions == 0) {
      text = absl::StrCat("input: ", 1 + rng_.Below(600), " ");
    } else {
      text = absl::StrCat("input: ", h, " input: ", w, " input: ", Channels(), " ");
    }
    for (size_t i = 0; i < convolutions; ++i) {
      absl::StrAppend(&text, DrawConvolution(&h, &w));
      if (rng_.Below(3) == 0) absl::StrAppend(&text, DrawPool(&h, &w));
    }
    if (convolutions > 0) text += "layers { flatten {} } ";
    if (Coin()) absl::StrAppend(&text, "layers { dense { units: ", Channels(), Activation(), " } } ");
    return absl::StrCat(text, "layers { dense { units: ", Pick({1, 2, 4, 8, 16, 32, 64}),
                        " } } loss: LOSS_MEAN_SQUARED_ERROR");
  }
  std::string DrawConvolution(size_t* h, size_t* w) {
    const bool same = Coin();
    const size_t kh = 1 + rng_.Below(same ? 7 : std::min<size_t>(7, *h));
    const size_t kw = 1 + rng_.Below(same ? 7 : std::min<size_t>(7, *w));
    const size_t sh = 1 + rng_.Below(2), sw = 1 + rng_.Below(2);
    *h = same ? (*h + sh - 1) / sh : (*h - kh) / sh + 1;
    *w = same ? (*w + sw - 1) / sw : (*w - kw) / sw + 1;
    return absl::StrCat("layers { conv2d { filters: ", Channels(), " kernel_height: ", kh, " kernel_width: ", kw,
                        " stride_height: ", sh, " stride_width: ", sw,
                        " padding: ", same ? "PADDING_SAME" : "PADDING_VALID", Activation(), " } } ");
  }
  // Windows of 2 or 4 places divide without an error.
  std::string DrawPool(size_t* h, size_t* w) {
    const size_t ph = *h > 1 ? 2 : 1, pw = *w > 1 ? 2 : 1, sh = 1 + rng_.Below(2), sw = 1 + rng_.Below(2);
    *h = (*h - ph) / sh + 1;
    *w = (*w - pw) / sw + 1;
    const char* kind = coarse_ && Coin() ? "max_pool2d" : "avg_pool2d";
    return absl::StrCat("layers { ", kind, " { pool_height: ", ph, " pool_width: ", pw, " stride_height: ", sh,
                        " stride_width: ", sw, " } } ");
  }

  Rng rng_;
  const bool coarse_;
};

}  // namespace tributary::nn

#endif  // TRIBUTARY_TESTS_COMMON_NN_LAYER_LISTS_H_
