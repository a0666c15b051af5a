// In float32, each product is one product over the padded image itself (Axis walks the patches, none is copied):
//   y[pixel, f]     = sum over (ky, kx, c) of x[patch] W[ky, kx, c, f]
//   dW[ky kx c, f]  = sum over pixels      of x[patch] dy[pixel, f]
//   dx[pixel, c]    = sum over (ky, kx, f) of e[patch] W'[ky, kx, f, c]
// where e is dy spread out by the strides inside a border of kernel - 1 zeros, and W' is W turned by 180 degrees.
#include "common/nn/conv_products.h"

#include <algorithm>
#include <cstring>

namespace tributary::nn {
namespace {

class Float32ConvProducts final : public ConvProducts {
 public:
  Float32ConvProducts(const LayerSpec& spec, bool relu, bool training)
      : spec_(spec), geometry_(spec), relu_(relu), turned_(training ? spec.kernel_size : 0) {}

  void BeginForward(const Pass&) override {}
  void BeginBackward(const Pass& pass, bool wants_dx) override {
    if (wants_dx) TurnKernel(pass.kernels, spec_, pass.parameters + spec_.kernel_offset, turned_.data());
  }

  void Forward(const Pass& pass, const float* x, float* y, const Worker& worker) const override {
    const size_t row = RowWidth() * spec_.in.c;
    GemmArgs args;
    args.a = Padded(x, worker);
    args.rows = {spec_.out.w, spec_.stride_w * spec_.in.c, spec_.out.h, spec_.stride_h * row};
    args.depth = {spec_.window_w * spec_.in.c, 1, spec_.window_h, row};
    args.b = pass.parameters + spec_.kernel_offset;
    args.ldb = spec_.out.c;
    args.n = spec_.out.c;
    args.c = y;
    args.ldc = spec_.out.c;
    args.bias = pass.parameters + spec_.kernel_offset + spec_.kernel_size;
    args.relu = relu_;
    pass.kernels.gemm(args, worker.gemm.data());
  }

  void KernelGradient(const Pass& pass, const float* x, const float* dy, size_t, float* dw,
                      const Worker& worker) const override {
    const size_t row = RowWidth() * spec_.in.c;
    GemmArgs args;
    args.a = Padded(x, worker);
    args.rows = {spec_.window_w * spec_.in.c, 1, spec_.window_h, row};
    args.depth = {spec_.out.w, spec_.stride_w * spec_.in.c, spec_.out.h, spec_.stride_h * row};
    args.b = dy;
    args.ldb = spec_.out.c;
    args.n = spec_.out.c;
    args.c = dw;
    args.ldc = spec_.out.c;
    args.accumulate = true;
    pass.kernels.gemm(args, worker.gemm.data());
  }

  void FinishKernelGradient(const Pass&, size_t, float*, const Worker&) const override {}

  void InputGradient(const Pass& pass, const float* dy, float* dx, const Worker& worker) const override {
    const size_t row = geometry_.expanded_w * spec_.out.c;
    float* expanded = worker.expanded.data();
    std::memset(expanded, 0, geometry_.expanded_h * row * sizeof(float));
    for (size_t oy = 0; oy < spec_.out.h; ++oy) {
      float* to = expanded + (oy * spec_.stride_h + spec_.window_h - 1 - spec_.pad_top) * row;
      for (size_t ox = 0; ox < spec_.out.w; ++ox, dy += spec_.out.c) {
        const size_t column = ox * spec_.stride_w + spec_.window_w - 1 - spec_.pad_left;
        std::memcpy(to + column * spec_.out.c, dy, spec_.out.c * sizeof(float));
      }
    }
    GemmArgs args;
    args.a = expanded;
    args.rows = {spec_.in.w, spec_.out.c, spec_.in.h, row};
    args.depth = {spec_.window_w * spec_.out.c, 1, spec_.window_h, row};
    args.b = turned_.data();
    args.ldb = spec_.in.c;
    args.n = spec_.in.c;
    args.c = dx;
    args.ldc = spec_.in.c;
    pass.kernels.gemm(args, worker.gemm.data());
  }

  ScratchNeeds scratch(const Kernels& kernels) const override {
    ScratchNeeds needs;
    needs.gemm = kernels.gemm_scratch;
    needs.padded = geometry_.needs_padding ? geometry_.padded_h * geometry_.padded_w * spec_.in.c : 0;
    needs.expanded = turned_.size() > 0 ? geometry_.expanded_h * geometry_.expanded_w * spec_.out.c : 0;
    return needs;
  }

 private:
  size_t RowWidth() const { return geometry_.needs_padding ? geometry_.padded_w : spec_.in.w; }

  // The image with its border of zeros, or the image itself when it needs none.
  const float* Padded(const float* x, const Worker& worker) const {
    if (!geometry_.needs_padding) return x;
    float* padded = worker.padded.data();
    const size_t width = geometry_.padded_w * spec_.in.c, used = spec_.in.w * spec_.in.c;
    std::memset(padded, 0, geometry_.padded_h * width * sizeof(float));
    float* to = padded + spec_.pad_top * width + spec_.pad_left * spec_.in.c;
    for (size_t y = 0; y < spec_.in.h; ++y) std::memcpy(to + y * width, x + y * used, used * sizeof(float));
    return padded;
  }

  const LayerSpec spec_;
  const ConvGeometry geometry_;
  const bool relu_;
  Floats turned_;  // W', when training
};

}  // namespace

ConvGeometry::ConvGeometry(const LayerSpec& spec)
    : padded_h(std::max((spec.out.h - 1) * spec.stride_h + spec.window_h, spec.in.h + spec.pad_top)),
      padded_w(std::max((spec.out.w - 1) * spec.stride_w + spec.window_w, spec.in.w + spec.pad_left)),
      expanded_h(spec.in.h + spec.window_h - 1),
      expanded_w(spec.in.w + spec.window_w - 1),
      needs_padding(spec.padding == Padding::kSame && (padded_h > spec.in.h || padded_w > spec.in.w)) {}

void TurnKernel(const Kernels& kernels, const LayerSpec& spec, const float* w, float* turned) {
  const size_t taps = spec.window_h * spec.window_w, c = spec.in.c, f = spec.out.c;
  for (size_t tap = 0; tap < taps; ++tap) {
    kernels.transpose(w + tap * c * f, c, f, f, turned + (taps - 1 - tap) * f * c, c);
  }
}

std::unique_ptr<ConvProducts> MakeFloat32ConvProducts(const LayerSpec& spec, bool relu, bool training) {
  return std::make_unique<Float32ConvProducts>(spec, relu, training);
}

}  // namespace tributary::nn
