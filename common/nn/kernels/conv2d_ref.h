// The definition of convolution (cross-correlation, as Keras has it), for one image, channels-last, in any number type.
// Written to be read, never tuned; fast kernels are tested against it.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_CONV2D_REF_H_
#define TRIBUTARY_COMMON_NN_KERNELS_CONV2D_REF_H_

#include <cstddef>

#include "common/nn/model_description.h"

namespace tributary::nn::ref {

// Calls fn(index into the image, index into the kernel, index into the output) for every product of a convolution.
// Window places outside the image are padding: they take no part.
template <class Fn>
void ForEachConvProduct(const LayerSpec& l, const Fn& fn) {
  for (size_t oy = 0; oy < l.out.h; ++oy) {
    for (size_t ox = 0; ox < l.out.w; ++ox) {
      for (size_t ky = 0; ky < l.window_h; ++ky) {
        for (size_t kx = 0; kx < l.window_w; ++kx) {
          const size_t y = oy * l.stride_h + ky, x = ox * l.stride_w + kx;  // in the padded image
          if (y < l.pad_top || y - l.pad_top >= l.in.h || x < l.pad_left || x - l.pad_left >= l.in.w) continue;
          const size_t pixel = (y - l.pad_top) * l.in.w + (x - l.pad_left);
          const size_t tap = ky * l.window_w + kx;
          for (size_t c = 0; c < l.in.c; ++c) {
            for (size_t f = 0; f < l.out.c; ++f) {
              fn(pixel * l.in.c + c, (tap * l.in.c + c) * l.out.c + f, (oy * l.out.w + ox) * l.out.c + f);
            }
          }
        }
      }
    }
  }
}

// y = x * w + b, before the activation. Kernel as [kernel_h, kernel_w, in, out].
template <class T>
void Conv2D(const LayerSpec& l, const T* x, const T* w, const T* b, T* y) {
  for (size_t i = 0; i < l.out.size(); ++i) y[i] = b[i % l.out.c];
  ForEachConvProduct(l, [&](size_t xi, size_t wi, size_t yi) { y[yi] += x[xi] * w[wi]; });
}

// Adds to dw and db; overwrites dx unless null.
template <class T>
void Conv2DBackward(const LayerSpec& l, const T* x, const T* w, const T* dy, T* dw, T* db, T* dx) {
  for (size_t i = 0; i < l.out.size(); ++i) db[i % l.out.c] += dy[i];
  ForEachConvProduct(l, [&](size_t xi, size_t wi, size_t yi) { dw[wi] += x[xi] * dy[yi]; });
  if (dx == nullptr) return;
  for (size_t i = 0; i < l.in.size(); ++i) dx[i] = T(0);
  ForEachConvProduct(l, [&](size_t xi, size_t wi, size_t yi) { dx[xi] += w[wi] * dy[yi]; });
}

}  // namespace tributary::nn::ref

#endif  // TRIBUTARY_COMMON_NN_KERNELS_CONV2D_REF_H_
