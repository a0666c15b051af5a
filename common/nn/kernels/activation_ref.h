// The definition of the activations, in any number type. Never tuned. NaN gives NaN everywhere.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_ACTIVATION_REF_H_
#define TRIBUTARY_COMMON_NN_KERNELS_ACTIVATION_REF_H_

#include <cmath>
#include <cstddef>

#include "common/nn/model_description.h"

namespace tributary::nn::ref {

template <class T>
T Relu(T x) {
  return x < T(0) ? T(0) : x;
}
template <class T>
T Sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

// One row of n logits to probabilities; returns log(sum(exp(x))). y may be x.
template <class T>
T Softmax(const T* x, size_t n, T* y) {
  T highest = x[0];
  for (size_t i = 1; i < n; ++i) highest = x[i] > highest ? x[i] : highest;
  T sum = T(0);
  for (size_t i = 0; i < n; ++i) sum += y[i] = std::exp(x[i] - highest);
  for (size_t i = 0; i < n; ++i) y[i] /= sum;
  return std::log(sum) + highest;
}

// y = f(y) for n values that are rows of `width` (softmax is over a row).
template <class T>
void Activate(Activation activation, size_t width, T* y, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (activation == Activation::kRelu) y[i] = Relu(y[i]);
    if (activation == Activation::kSigmoid) y[i] = Sigmoid(y[i]);
    if (activation == Activation::kTanh) y[i] = std::tanh(y[i]);
  }
  if (activation != Activation::kSoftmax) return;
  for (size_t i = 0; i < n; i += width) Softmax(y + i, width, y + i);
}

// dy = dy * f'(x), told by y = f(x). The slope of relu at 0 is 0.
template <class T>
void ActivateBackward(Activation activation, size_t width, const T* y, T* dy, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (activation == Activation::kRelu && y[i] <= T(0)) dy[i] = T(0);
    if (activation == Activation::kSigmoid) dy[i] *= y[i] * (T(1) - y[i]);
    if (activation == Activation::kTanh) dy[i] *= T(1) - y[i] * y[i];
  }
  if (activation != Activation::kSoftmax) return;
  for (size_t row = 0; row < n; row += width) {
    T inner = T(0);
    for (size_t j = row; j < row + width; ++j) inner += y[j] * dy[j];
    for (size_t j = row; j < row + width; ++j) dy[j] = y[j] * (dy[j] - inner);
  }
}

}  // namespace tributary::nn::ref

#endif  // TRIBUTARY_COMMON_NN_KERNELS_ACTIVATION_REF_H_
