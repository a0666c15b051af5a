// The definition of max and average pooling, for one image, channels-last, in any number type. Never tuned.
// Max pooling pads with minus infinity and prefers NaN (the first one); of equal values the first in the window, row by
// row, gets the gradient. Average pooling leaves padding out of sum and count.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_POOL_REF_H_
#define TRIBUTARY_COMMON_NN_KERNELS_POOL_REF_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "common/nn/kernels/kernels.h"

namespace tributary::nn::ref {

// Calls fn(index into the image, place in the window) for each element of the window of output (oy, ox), channel c,
// that lies on the image.
template <class Fn>
void ForEachInWindow(const PoolArgs& p, size_t oy, size_t ox, size_t c, const Fn& fn) {
  for (size_t ky = 0; ky < p.window_h; ++ky) {
    for (size_t kx = 0; kx < p.window_w; ++kx) {
      const size_t y = oy * p.stride_h + ky, x = ox * p.stride_w + kx;  // in the padded image
      if (y < p.pad_top || y - p.pad_top >= p.in_h || x < p.pad_left || x - p.pad_left >= p.in_w) continue;
      fn(((y - p.pad_top) * p.in_w + (x - p.pad_left)) * p.channels + c, ky * p.window_w + kx);
    }
  }
}

// Calls fn(oy, ox, c, index into the output).
template <class Fn>
void ForEachPoolOutput(const PoolArgs& p, const Fn& fn) {
  size_t out = 0;
  for (size_t oy = 0; oy < p.out_h; ++oy) {
    for (size_t ox = 0; ox < p.out_w; ++ox) {
      for (size_t c = 0; c < p.channels; ++c) fn(oy, ox, c, out++);
    }
  }
}

template <class T>
void MaxPool(const PoolArgs& p, const T* x, T* y, uint16_t* index) {
  ForEachPoolOutput(p, [&](size_t oy, size_t ox, size_t c, size_t out) {
    bool first = true;
    ForEachInWindow(p, oy, ox, c, [&](size_t in, size_t place) {
      if (first || (!std::isnan(y[out]) && !(x[in] <= y[out]))) {
        y[out] = x[in];
        if (index != nullptr) index[out] = static_cast<uint16_t>(place);
      }
      first = false;
    });
  });
}

template <class T>
void MaxPoolBackward(const PoolArgs& p, const T* dy, const uint16_t* index, T* dx) {
  for (size_t i = 0; i < p.in_h * p.in_w * p.channels; ++i) dx[i] = T(0);
  ForEachPoolOutput(p, [&](size_t oy, size_t ox, size_t c, size_t out) {
    ForEachInWindow(p, oy, ox, c, [&](size_t in, size_t place) {
      if (place == index[out]) dx[in] += dy[out];
    });
  });
}

template <class T>
void AvgPool(const PoolArgs& p, const T* x, T* y) {
  ForEachPoolOutput(p, [&](size_t oy, size_t ox, size_t c, size_t out) {
    T sum = T(0), count = T(0);
    ForEachInWindow(p, oy, ox, c, [&](size_t in, size_t) { sum += x[in], count += T(1); });
    y[out] = sum / count;
  });
}

template <class T>
void AvgPoolBackward(const PoolArgs& p, const T* dy, T* dx) {
  for (size_t i = 0; i < p.in_h * p.in_w * p.channels; ++i) dx[i] = T(0);
  ForEachPoolOutput(p, [&](size_t oy, size_t ox, size_t c, size_t out) {
    T count = T(0);
    ForEachInWindow(p, oy, ox, c, [&](size_t, size_t) { count += T(1); });
    ForEachInWindow(p, oy, ox, c, [&](size_t in, size_t) { dx[in] += dy[out] / count; });
  });
}

}  // namespace tributary::nn::ref

#endif  // TRIBUTARY_COMMON_NN_KERNELS_POOL_REF_H_
