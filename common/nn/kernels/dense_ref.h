// The definition of a dense layer, for one example, in any number type. Never tuned.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_DENSE_REF_H_
#define TRIBUTARY_COMMON_NN_KERNELS_DENSE_REF_H_

#include <cstddef>

namespace tributary::nn::ref {

// y = x w + b, before the activation. w as [in, out].
template <class T>
void Dense(size_t in, size_t out, const T* x, const T* w, const T* b, T* y) {
  for (size_t j = 0; j < out; ++j) {
    y[j] = b[j];
    for (size_t i = 0; i < in; ++i) y[j] += x[i] * w[i * out + j];
  }
}

// Adds to dw and db; overwrites dx unless null.
template <class T>
void DenseBackward(size_t in, size_t out, const T* x, const T* w, const T* dy, T* dw, T* db, T* dx) {
  for (size_t j = 0; j < out; ++j) db[j] += dy[j];
  for (size_t i = 0; i < in; ++i) {
    if (dx != nullptr) dx[i] = T(0);
    for (size_t j = 0; j < out; ++j) {
      dw[i * out + j] += x[i] * dy[j];
      if (dx != nullptr) dx[i] += w[i * out + j] * dy[j];
    }
  }
}

}  // namespace tributary::nn::ref

#endif  // TRIBUTARY_COMMON_NN_KERNELS_DENSE_REF_H_
