// In bfloat16 with float32 sums. The image, its transpose and the spread-out dy are made once an image; a kernel's
// packed forms once a step.
//   y[pixel, f]     rows are pixels, the depth runs along the image row: window_w * c neighbours, window_h times
//   dW[tap][c, f]   rows are channels of the transposed image, the depth is all its pixels in one run: those of the
//                   padded image from the window's first place to its last. dy stands in that run with zeros between,
//                   where padding or a stride leaves no window. One product a tap, moved by the tap's offset
//   dx[pixel, c]    as y, from the spread-out dy and W'
#include <algorithm>
#include <cstring>

#include "common/nn/conv_products.h"

namespace tributary::nn {
namespace {

size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }

// B of a product: all panels of a [runs][run][columns] matrix of floats.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(size_t runs, size_t run, size_t columns)
      : runs_(runs),
        run_(run),
        columns_(columns),
        depth_(runs * RoundUp(run, kBf16Group)),
        rows_(depth_),
        packed_(RoundUp(columns, kBf16Panel) * depth_) {}

  void Pack(const Bf16Kernels& kernels, const float* values) {
    const size_t padded = RoundUp(run_, kBf16Group);
    for (size_t j = 0; j < columns_; j += kBf16Panel) {
      for (size_t k = 0; k < runs_ * run_; ++k) rows_.data()[k / run_ * padded + k % run_] = values + k * columns_ + j;
      kernels.pack(rows_.data(), depth_, std::min(kBf16Panel, columns_ - j), data() + j * depth_);
    }
  }
  Bf16* data() const { return packed_.data(); }
  size_t depth() const { return depth_; }

 private:
  size_t runs_ = 0, run_ = 0, columns_ = 0, depth_ = 0;
  Buffer<const float*> rows_;  // null between runs
  Buffer<Bf16> packed_;
};

class Bf16ConvProducts final : public ConvProducts {
 public:
  Bf16ConvProducts(const LayerSpec& spec, bool relu, bool training, const Bf16Kernels& kernels)
      : spec_(spec),
        geometry_(spec),
        kernels_(kernels),
        relu_(relu),
        training_(training),
        pixels_(RoundUp(((spec.out.h - 1) * spec.stride_h) * geometry_.padded_w + (spec.out.w - 1) * spec.stride_w + 1,
                        kBf16Group)),
        plane_(RoundUp(std::max(geometry_.padded_h * geometry_.padded_w,
                                pixels_ + (spec.window_h - 1) * geometry_.padded_w + spec.window_w),
                       kBf16Group)),
        forward_(spec.window_h, spec.window_w * spec.in.c, spec.out.c) {
    // Rows of A that lie whole pages apart would fight for the same lines of cache.
    if (plane_ * sizeof(Bf16) % 1024 == 0) plane_ += kBf16Group;
    if (!training) return;
    turned_ = Floats(spec.kernel_size);
    backward_ = PackedMatrix(spec.window_h, spec.window_w * spec.out.c, spec.in.c);
  }

  void BeginForward(const Pass& pass) override { forward_.Pack(kernels_, pass.parameters + spec_.kernel_offset); }
  void BeginBackward(const Pass& pass, bool wants_dx) override {
    if (!wants_dx) return;
    TurnKernel(pass.kernels, spec_, pass.parameters + spec_.kernel_offset, turned_.data());
    backward_.Pack(kernels_, turned_.data());
  }

  void Forward(const Pass& pass, const float* x, float* y, const Worker& worker) const override {
    const size_t row = geometry_.padded_w * spec_.in.c;
    Bf16* padded = worker.halves.data();
    std::memset(padded, 0, (geometry_.padded_h * row + kBf16Slack) * sizeof(Bf16));
    for (size_t h = 0; h < spec_.in.h; ++h) {
      kernels_.convert(x + h * spec_.in.w * spec_.in.c, spec_.in.w * spec_.in.c,
                       padded + (h + spec_.pad_top) * row + spec_.pad_left * spec_.in.c);
    }
    Bf16Args args;
    args.a = padded;
    args.rows = {spec_.out.w, spec_.stride_w * spec_.in.c, spec_.out.h, spec_.stride_h * row};
    args.depth = {spec_.window_w * spec_.in.c, 1, spec_.window_h, row};
    args.b = forward_.data();
    args.n = spec_.out.c;
    args.c = y;
    args.ldc = spec_.out.c;
    args.bias = pass.parameters + spec_.kernel_offset + spec_.kernel_size;
    args.relu = relu_;
    kernels_.gemm(args);
  }

  // The sums are loaded and stored once a group of images, not once an image.
  void KernelGradient(const Pass&, const float* x, const float* dy, size_t slot, float*,
                      const Worker& worker) const override {
    TransposeImage(x, Planes(worker) + slot * PlanesSize());
    PackGradient(dy, worker, Gradients(worker) + slot * pixels_ * kBf16Panel);
  }

  void FinishKernelGradient(const Pass&, size_t images, float* dw, const Worker& worker) const override {
    Bf16Args args;
    args.a = Planes(worker);
    args.depth = {pixels_, 1, images, PlanesSize()};
    args.b = Gradients(worker);
    args.panel_stride = kGroup * pixels_ * kBf16Panel;
    args.n = spec_.out.c;
    args.c = dw;
    args.ldc = spec_.out.c;
    args.accumulate = true;
    if (spec_.in.c == 1) {  // a row of taps is as good as a row of channels, and fills tiles better
      args.rows = {spec_.window_w, 1};
      args.taps = {spec_.window_h, 1, geometry_.padded_w, 0, spec_.window_w * spec_.out.c};
    } else {
      args.rows = {spec_.in.c, plane_};
      args.taps = {spec_.window_h, spec_.window_w, geometry_.padded_w, 1, spec_.in.c * spec_.out.c};
    }
    kernels_.gemm(args);
  }

  void InputGradient(const Pass&, const float* dy, float* dx, const Worker& worker) const override {
    const size_t f = spec_.out.c, row = geometry_.expanded_w * f;
    Bf16* expanded = worker.halves.data();
    std::memset(expanded, 0, (geometry_.expanded_h * row + kBf16Slack) * sizeof(Bf16));
    for (size_t oy = 0; oy < spec_.out.h; ++oy) {
      Bf16* to = expanded + (oy * spec_.stride_h + spec_.window_h - 1 - spec_.pad_top) * row +
                 (spec_.window_w - 1 - spec_.pad_left) * f;
      if (spec_.stride_w == 1) {
        kernels_.convert(dy, spec_.out.w * f, to);
        dy += spec_.out.w * f;
        continue;
      }
      for (size_t ox = 0; ox < spec_.out.w; ++ox, dy += f) kernels_.convert(dy, f, to + ox * spec_.stride_w * f);
    }
    Bf16Args args;
    args.a = expanded;
    args.rows = {spec_.in.w, f, spec_.in.h, row};
    args.depth = {spec_.window_w * f, 1, spec_.window_h, row};
    args.b = backward_.data();
    args.n = spec_.in.c;
    args.c = dx;
    args.ldc = spec_.in.c;
    kernels_.gemm(args);
  }

  ScratchNeeds scratch(const Kernels&) const override {
    const size_t forward = geometry_.padded_h * geometry_.padded_w * spec_.in.c + kBf16Slack;
    const size_t expanded = geometry_.expanded_h * geometry_.expanded_w * spec_.out.c + kBf16Slack;
    ScratchNeeds needs;
    needs.halves = training_ ? std::max(forward, expanded) : forward;
    needs.rows = training_ ? pixels_ : 0;
    needs.kept = training_ ? kGroup * (PlanesSize() + RoundUp(spec_.out.c, kBf16Panel) * pixels_) : 0;
    return needs;
  }

 private:
  // Kept: [slot][PlanesSize()], then [panel][slot][pixels_ * kBf16Panel].
  Bf16* Planes(const Worker& worker) const { return worker.kept.data() + kept_offset_; }
  Bf16* Gradients(const Worker& worker) const { return Planes(worker) + kGroup * PlanesSize(); }
  size_t PlanesSize() const { return spec_.in.c * plane_ + kBf16Slack; }

  // [c][padded pixels]
  void TransposeImage(const float* x, Bf16* planes) const {
    std::memset(planes, 0, PlanesSize() * sizeof(Bf16));
    for (size_t h = 0; h < spec_.in.h; ++h) {
      kernels_.transpose(x + h * spec_.in.w * spec_.in.c, spec_.in.w, spec_.in.c, spec_.in.c,
                         planes + (h + spec_.pad_top) * geometry_.padded_w + spec_.pad_left, plane_);
    }
  }

  // dy in the run of the padded image's pixels, as B.
  void PackGradient(const float* dy, const Worker& worker, Bf16* packed) const {
    const size_t f = spec_.out.c;
    for (size_t j = 0; j < f; j += kBf16Panel, packed += kGroup * pixels_ * kBf16Panel) {
      std::fill_n(worker.rows.data(), pixels_, nullptr);
      for (size_t oy = 0; oy < spec_.out.h; ++oy) {
        const float** row = worker.rows.data() + oy * spec_.stride_h * geometry_.padded_w;
        const float* from = dy + oy * spec_.out.w * f + j;
        for (size_t ox = 0; ox < spec_.out.w; ++ox) row[ox * spec_.stride_w] = from + ox * f;
      }
      kernels_.pack(worker.rows.data(), pixels_, std::min(kBf16Panel, f - j), packed);
    }
  }

  const LayerSpec spec_;
  const ConvGeometry geometry_;
  const Bf16Kernels& kernels_;
  const bool relu_, training_;
  const size_t pixels_;  // of the depth of a kernel gradient
  size_t plane_;         // elements of one channel of the transposed image
  PackedMatrix forward_, backward_;
  Floats turned_;
};

}  // namespace

std::unique_ptr<ConvProducts> MakeBf16ConvProducts(const LayerSpec& spec, bool relu, bool training,
                                                   const Bf16Kernels& kernels) {
  return std::make_unique<Bf16ConvProducts>(spec, relu, training, kernels);
}

}  // namespace tributary::nn
