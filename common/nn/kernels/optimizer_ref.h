// The definition of the optimiser steps on one parameter, in any number type. Never tuned.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_OPTIMIZER_REF_H_
#define TRIBUTARY_COMMON_NN_KERNELS_OPTIMIZER_REF_H_

#include <cmath>
#include <cstdint>

namespace tributary::nn::ref {

// `decay` = lr * weight_decay, taken off before the step.
template <class T>
void Sgd(T lr, T decay, T g, T* w) {
  *w -= decay * *w;
  *w -= lr * g;
}

template <class T>
void Momentum(T lr, T decay, T g, T* v, T* w) {
  *w -= decay * *w;
  *v = T(0.9) * *v - lr * g;
  *w += *v;
}

// Step number t, from 1. Keras' form: epsilon is added to sqrt(v) before, not after, the correction of v.
template <class T>
void Adam(T lr, T decay, uint64_t t, T g, T* m, T* v, T* w) {
  *w -= decay * *w;
  *m = T(0.9) * *m + T(0.1) * g;
  *v = T(0.999) * *v + T(0.001) * g * g;
  const T correction = std::sqrt(T(1) - std::pow(T(0.999), T(t))) / (T(1) - std::pow(T(0.9), T(t)));
  *w -= lr * correction * *m / (std::sqrt(*v) + T(1e-7));
}

}  // namespace tributary::nn::ref

#endif  // TRIBUTARY_COMMON_NN_KERNELS_OPTIMIZER_REF_H_
