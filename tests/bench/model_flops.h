// Nominal work: multiply-adds as two operations, products with padding counted.
#ifndef TRIBUTARY_TESTS_BENCH_MODEL_FLOPS_H_
#define TRIBUTARY_TESTS_BENCH_MODEL_FLOPS_H_

#include "common/nn/model_description.h"

namespace tributary::bench {

// Of one example's forward pass through a layer. Both gradients cost as much each.
inline double ForwardFlops(const nn::LayerSpec& layer) {
  const double per_output = layer.kernel_size == 0 ? 0 : static_cast<double>(layer.kernel_size / layer.out.c);
  return 2 * per_output * static_cast<double>(layer.out.size());
}

inline double ForwardFlops(const nn::ModelDescription& model) {
  double flops = 0;
  for (const nn::LayerSpec& layer : model.layers()) flops += ForwardFlops(layer);
  return flops;
}

// Forward, weight gradient and input gradient, the last not for the first layer.
inline double TrainFlops(const nn::ModelDescription& model) {
  double flops = 0;
  bool first = true;
  for (const nn::LayerSpec& layer : model.layers()) {
    flops += ForwardFlops(layer) * (first ? 2 : 3);
    if (layer.kernel_size > 0) first = false;
  }
  return flops;
}

}  // namespace tributary::bench

#endif  // TRIBUTARY_TESTS_BENCH_MODEL_FLOPS_H_
