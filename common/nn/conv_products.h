// A convolution's three products, one image at a time: the output, the kernel's gradient, the input's gradient. Inside
// common/nn only. The layer around it (local_segment.cc) does the bias gradient and all activations but the ReLU that a
// product can apply on its way out.
//
// Threads: Begin... from one thread; the others from many at once, each with its own worker.
#ifndef TRIBUTARY_COMMON_NN_CONV_PRODUCTS_H_
#define TRIBUTARY_COMMON_NN_CONV_PRODUCTS_H_

#include <cstddef>
#include <memory>

#include "common/nn/kernels/bf16.h"
#include "common/nn/model_description.h"
#include "common/nn/segment.h"

namespace tributary::nn {

// The padded images of a convolution, in pixels.
struct ConvGeometry {
  explicit ConvGeometry(const LayerSpec& spec);
  size_t padded_h, padded_w;      // at least the input, and all that the windows reach
  size_t expanded_h, expanded_w;  // dy spread out by the strides inside a border of kernel - 1 zeros
  bool needs_padding;             // the padded image is more than the input
};

class ConvProducts {
 public:
  static constexpr size_t kGroup = 4;
  virtual ~ConvProducts() = default;
  // Before the images of a pass: what depends on the parameters alone.
  virtual void BeginForward(const Pass& pass) = 0;
  virtual void BeginBackward(const Pass& pass, bool wants_dx) = 0;
  // y = x * w + b, then ReLU if it was asked for.
  virtual void Forward(const Pass& pass, const float* x, float* y, const Worker& worker) const = 0;
  // dw [kh, kw, c, f] += the kernel's gradient, for up to kGroup images at a time: KernelGradient for each, `slot` from
  // 0 on, then FinishKernelGradient with their number. Which images form a group decides the order of the sum.
  virtual void KernelGradient(const Pass& pass, const float* x, const float* dy, size_t slot, float* dw,
                              const Worker& worker) const = 0;
  virtual void FinishKernelGradient(const Pass& pass, size_t images, float* dw, const Worker& worker) const = 0;
  virtual void InputGradient(const Pass& pass, const float* dy, float* dx, const Worker& worker) const = 0;
  virtual ScratchNeeds scratch(const Kernels& kernels) const = 0;
  // Where in a worker's `kept` memory this convolution's part begins, which lasts from KernelGradient to Finish.
  void set_kept_offset(size_t offset) { kept_offset_ = offset; }

 protected:
  size_t kept_offset_ = 0;
};

// `relu`: Forward applies it. `training`: false when only Forward will be called.
std::unique_ptr<ConvProducts> MakeFloat32ConvProducts(const LayerSpec& spec, bool relu, bool training);
std::unique_ptr<ConvProducts> MakeBf16ConvProducts(const LayerSpec& spec, bool relu, bool training,
                                                   const Bf16Kernels& kernels);

// W' of a convolution [kh, kw, f, c]: turned by 180 degrees, each tap transposed.
void TurnKernel(const Kernels& kernels, const LayerSpec& spec, const float* w, float* turned);

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_CONV_PRODUCTS_H_
