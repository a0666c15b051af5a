// The definition of the losses of one example, in any number type. Never tuned.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_LOSS_REF_H_
#define TRIBUTARY_COMMON_NN_KERNELS_LOSS_REF_H_

#include <cmath>
#include <cstddef>

#include "common/nn/kernels/activation_ref.h"

namespace tributary::nn::ref {

// -log(softmax(z)[label]); dz = softmax(z) - onehot(label).
template <class T>
T SparseCategoricalCrossentropy(const T* z, size_t n, size_t label, T* dz) {
  const T label_logit = z[label];
  const T log_sum = Softmax(z, n, dz);
  dz[label] -= T(1);
  return log_sum - label_logit;
}

// -log(p) or -log(1 - p), p = sigmoid(z); dz = p - label.
template <class T>
T BinaryCrossentropy(T z, T label, T* dz) {
  *dz = Sigmoid(z) - label;
  return (z > T(0) ? z : T(0)) - z * label + std::log1p(std::exp(-std::fabs(z)));
}

// Mean over the n outputs of (y - target)^2; dy likewise.
template <class T>
T MeanSquaredError(const T* y, const T* target, size_t n, T* dy) {
  T sum = T(0);
  for (size_t i = 0; i < n; ++i) {
    sum += (y[i] - target[i]) * (y[i] - target[i]);
    dy[i] = T(2) * (y[i] - target[i]) / T(n);
  }
  return sum / T(n);
}

}  // namespace tributary::nn::ref

#endif  // TRIBUTARY_COMMON_NN_KERNELS_LOSS_REF_H_
