// A network made of the reference kernels, in any number type: what common/nn/network.h must agree with, and in double
// what finite differences are taken of. One example at a time, no threads, no tricks.
#ifndef TRIBUTARY_TESTS_COMMON_NN_REFERENCE_NETWORK_H_
#define TRIBUTARY_TESTS_COMMON_NN_REFERENCE_NETWORK_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/random.h"
#include "common/nn/kernels/activation_ref.h"
#include "common/nn/kernels/conv2d_ref.h"
#include "common/nn/kernels/dense_ref.h"
#include "common/nn/kernels/loss_ref.h"
#include "common/nn/kernels/pool_ref.h"
#include "common/nn/model_description.h"

namespace tributary::nn {

inline PoolArgs PoolOf(const LayerSpec& l) {
  return {l.in.h,     l.in.w,     l.out.h,    l.out.w,   l.in.c,    l.window_h,
          l.window_w, l.stride_h, l.stride_w, l.pad_top, l.pad_left};
}

template <class T>
class ReferenceNetwork {
 public:
  explicit ReferenceNetwork(const ModelDescription& model)
      : parameters(model.parameter_count()), gradients(model.parameter_count()), model_(model) {}

  std::vector<T> parameters, gradients;
  std::vector<T> input_gradient;  // of the last example trained on
  std::vector<T> output;          // of the last example
  const Rng* dropout = nullptr;   // null: as at inference
  uint64_t step = 0;
  // What both factors of every product are put through first (null: nothing), as a bf16 engine rounds them.
  T (*round)(T) = nullptr;
  // What the backward pass multiplies by; null: parameters. A correct network never differs (mutants_test.cc).
  const T* backward_parameters = nullptr;

  // Adds d(loss / examples)/d(parameters) to gradients; returns the loss. `label` or `target` as the loss asks.
  T Train(const T* x, int32_t label, const T* target, size_t example, size_t examples) {
    std::vector<std::vector<T>> values = {std::vector<T>(x, x + model_.input().size())};
    std::vector<std::vector<uint16_t>> indices(model_.layers().size());
    std::vector<std::vector<T>> masks(model_.layers().size());
    size_t block = 0;
    for (size_t i = 0; i < model_.layers().size(); ++i) {
      masks[i] = Mask(model_.layers()[i], example, &block);
      values.push_back(Forward(model_.layers()[i], values[i], masks[i], &indices[i], i + 1 == model_.layers().size()));
    }
    std::vector<T> dy;
    const T loss = Loss(values.back(), label, target, &dy);
    for (T& d : dy) d /= T(examples);
    for (size_t i = model_.layers().size(); i-- > 0;) {
      dy = Backward(model_.layers()[i], values[i], values[i + 1], masks[i], indices[i], dy,
                    i + 1 == model_.layers().size());
    }
    input_gradient = dy;
    return loss;
  }

 private:
  std::vector<T> Mask(const LayerSpec& l, size_t example, size_t* block) const {
    if (l.kind != LayerKind::kDropout || dropout == nullptr) return {};
    size_t per_example = 0;
    for (const LayerSpec& other : model_.layers()) {
      if (other.kind == LayerKind::kDropout) per_example += (other.out.size() + 3) / 4;
    }
    std::vector<T> mask(l.out.size());
    const uint64_t first = (step << 32) + example * per_example + *block;
    for (size_t i = 0; i < mask.size(); ++i) {
      const float u = static_cast<float>(dropout->BlockAt(first + i / 4)[i % 4] >> 8) * 0x1p-24f;
      mask[i] = u >= l.rate ? T(1) / (T(1) - T(l.rate)) : T(0);
    }
    *block += (mask.size() + 3) / 4;
    return mask;
  }

  // The last layer's activation belongs to the loss.
  std::vector<T> Forward(const LayerSpec& l, const std::vector<T>& x, const std::vector<T>& mask,
                         std::vector<uint16_t>* index, bool last) {
    std::vector<T> y(l.out.size());
    const T* b = parameters.data() + l.kernel_offset + l.kernel_size;
    index->resize(y.size());
    switch (l.kind) {
      case LayerKind::kConv2D:
        ref::Conv2D(l, Factors(x).data(), Factors(Kernel(l, parameters.data())).data(), b, y.data());
        break;
      case LayerKind::kDense:
        ref::Dense(x.size(), y.size(), Factors(x).data(), Factors(Kernel(l, parameters.data())).data(), b, y.data());
        break;
      case LayerKind::kMaxPool2D:
        ref::MaxPool(PoolOf(l), x.data(), y.data(), index->data());
        break;
      case LayerKind::kAvgPool2D:
        ref::AvgPool(PoolOf(l), x.data(), y.data());
        break;
      default:
        for (size_t i = 0; i < y.size(); ++i) y[i] = mask.empty() ? x[i] : x[i] * mask[i];
    }
    if (!last) ref::Activate(l.activation, l.out.c, y.data(), y.size());
    return y;
  }

  T Loss(const std::vector<T>& logits, int32_t label, const T* target, std::vector<T>* dy) {
    const LayerSpec& last = model_.layers().back();
    output = logits;
    ref::Activate(last.activation, last.out.c, output.data(), output.size());
    dy->resize(logits.size());
    switch (model_.loss()) {
      case nn::Loss::kSparseCategoricalCrossentropy:
        return ref::SparseCategoricalCrossentropy(logits.data(), logits.size(), static_cast<size_t>(label), dy->data());
      case nn::Loss::kBinaryCrossentropy:
        return ref::BinaryCrossentropy(logits[0], T(label), dy->data());
      case nn::Loss::kMeanSquaredError:
        break;
    }
    const T loss = ref::MeanSquaredError(output.data(), target, output.size(), dy->data());
    ref::ActivateBackward(last.activation, last.out.c, output.data(), dy->data(), dy->size());
    return loss;
  }

  // Adds the bias gradient of rows of `width` values.
  static void AddRows(const std::vector<T>& dy, size_t width, T* db) {
    for (size_t i = 0; i < dy.size(); ++i) db[i % width] += dy[i];
  }

  std::vector<T> Kernel(const LayerSpec& l, const T* from) const {
    return {from + l.kernel_offset, from + l.kernel_offset + l.kernel_size};
  }
  std::vector<T> Factors(std::vector<T> values) const {
    if (round != nullptr) std::transform(values.begin(), values.end(), values.begin(), round);
    return values;
  }

  std::vector<T> Backward(const LayerSpec& l, const std::vector<T>& x, const std::vector<T>& y,
                          const std::vector<T>& mask, const std::vector<uint16_t>& index, std::vector<T> dy,
                          bool last) {
    std::vector<T> dx(x.size());
    const std::vector<T> w = Factors(Kernel(l, backward_parameters ? backward_parameters : parameters.data()));
    T* dw = gradients.data() + l.kernel_offset;
    std::vector<T> unused(l.out.c);  // the bias gradient is a sum, not a product: of dy as it is
    if (!last) ref::ActivateBackward(l.activation, l.out.c, y.data(), dy.data(), dy.size());
    switch (l.kind) {
      case LayerKind::kConv2D:
        ref::Conv2DBackward(l, Factors(x).data(), w.data(), Factors(dy).data(), dw, unused.data(), dx.data());
        AddRows(dy, l.out.c, dw + l.kernel_size);
        break;
      case LayerKind::kDense:
        ref::DenseBackward(x.size(), dy.size(), Factors(x).data(), w.data(), Factors(dy).data(), dw, unused.data(),
                           dx.data());
        AddRows(dy, l.out.c, dw + l.kernel_size);
        break;
      case LayerKind::kMaxPool2D:
        ref::MaxPoolBackward(PoolOf(l), dy.data(), index.data(), dx.data());
        break;
      case LayerKind::kAvgPool2D:
        ref::AvgPoolBackward(PoolOf(l), dy.data(), dx.data());
        break;
      default:
        for (size_t i = 0; i < dx.size(); ++i) dx[i] = mask.empty() ? dy[i] : dy[i] * mask[i];
    }
    return dx;
  }

  const ModelDescription model_;
};

}  // namespace tributary::nn

#endif  // TRIBUTARY_TESTS_COMMON_NN_REFERENCE_NETWORK_H_
