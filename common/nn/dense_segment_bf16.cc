// y = f(x W + b) for a whole batch in bfloat16 with float32 sums. W is converted where it is used, a panel at a time,
// and never held twice.
#include <algorithm>
#include <cstring>

#include "common/nn/kernels/parallel.h"
#include "common/nn/segment.h"

namespace tributary::nn {
namespace {

constexpr size_t kPanelFloats = 16384;  // of W, its gradient and its state, that a task holds in cache
constexpr size_t kMostPanelRows = 128;

size_t Pieces(size_t total, size_t piece) { return (total + piece - 1) / piece; }
size_t RoundUp(size_t n, size_t to) { return Pieces(n, to) * to; }
// Rows of W that one task of the backward pass works on: whole tiles.
size_t PanelRows(size_t units) { return std::clamp(kPanelFloats / units / 16 * 16, size_t{16}, kMostPanelRows); }

class Bf16DenseSegment final : public Segment {
 public:
  Bf16DenseSegment(const LayerSpec& layer, bool is_last, const SegmentOptions& options)
      : layer_(layer),
        kernels_(*options.bf16),
        inputs_(layer.in.size()),
        units_(layer.out.c),
        padded_inputs_(RoundUp(inputs_, kBf16Group)),
        padded_units_(RoundUp(units_, kBf16Group)),
        padded_batch_(RoundUp(options.max_batch, kBf16Group)),
        activation_(is_last ? Activation::kNone : layer.activation),
        y_(options.max_batch * units_),
        x_(options.max_batch * padded_inputs_) {
    if (!options.training) return;
    dy_ = Floats(options.max_batch * units_);
    dy_transposed_ = Floats(units_ * options.max_batch);
    bias_gradient_ = Floats(units_);
    x_transposed_ = Buffer<Bf16>(inputs_ * padded_batch_);
    packed_dy_ = Buffer<Bf16>(padded_units_ * padded_batch_);
    packed_turned_ = Buffer<Bf16>(padded_units_ * padded_batch_);
    rows_ = Buffer<const float*>(std::max(padded_batch_, padded_units_));
  }

  const float* Forward(const Pass& pass, const float* x) override {
    const float* w = pass.parameters + layer_.kernel_offset;
    for (size_t e = 0; e < pass.n; ++e) kernels_.convert(x + e * inputs_, inputs_, x_.data() + e * padded_inputs_);
    ParallelFor(pass.threads, Pieces(units_, kBf16Panel), [&](size_t task, size_t worker) {
      const size_t column = task * kBf16Panel, columns = std::min(kBf16Panel, units_ - column);
      const Worker& scratch = pass.workers[worker];
      for (size_t k = 0; k < padded_inputs_; ++k) {
        scratch.rows.data()[k] = k < inputs_ ? w + k * units_ + column : nullptr;
      }
      kernels_.pack(scratch.rows.data(), padded_inputs_, columns, scratch.halves.data());
      Bf16Args args;
      args.a = x_.data();
      args.rows = {pass.n, padded_inputs_};
      args.depth = {padded_inputs_, 1, 1, 0};
      args.b = scratch.halves.data();
      args.n = columns;
      args.c = y_.data() + column;
      args.ldc = units_;
      args.bias = w + layer_.kernel_size + column;
      args.relu = activation_ == Activation::kRelu;
      kernels_.gemm(args);
      if (args.relu) return;
      for (size_t e = 0; e < pass.n; ++e) ApplyActivation(pass.kernels, activation_, args.c + e * units_, columns);
    });
    return y_.data();
  }

  // As the float32 segment does: in panels of W's rows, the input gradient with W as it is, then the panel's own
  // gradient, then its update.
  void Backward(const Pass& pass, const float* x, float* dx) override {
    BeginBackward(pass, x, dx != nullptr);
    const size_t panel = PanelRows(units_);
    ParallelFor(pass.threads, Pieces(inputs_, panel), [&](size_t task, size_t worker) {
      const size_t row = task * panel, rows = std::min(panel, inputs_ - row);
      const Worker& scratch = pass.workers[worker];
      if (dx != nullptr) InputGradient(pass, row, rows, dx, scratch);
      const size_t offset = layer_.kernel_offset + row * units_;
      if (pass.optimizer == nullptr) {
        KernelGradient(pass, row, rows, !pass.overwrite, pass.gradients + offset);
        return;
      }
      KernelGradient(pass, row, rows, false, scratch.tile.data());
      pass.optimizer->Update(offset, rows * units_, true, scratch.tile.data(), pass.parameters + offset);
    });
  }

  float* gradient() override { return dy_.data(); }

  ScratchNeeds scratch(const Kernels&) const override {
    const bool training = dy_.size() > 0;
    ScratchNeeds needs;
    needs.rows = padded_inputs_;
    needs.halves = std::max(padded_inputs_ * kBf16Panel, training ? PanelRows(units_) * padded_units_ : 0);
    needs.tile = training ? PanelRows(units_) * std::max(units_, padded_batch_) : 0;
    return needs;
  }

 private:
  // What the panels share: dy through the activation and in both packed forms, x turned around, the bias.
  void BeginBackward(const Pass& pass, const float* x, bool wants_dx) {
    const FlushDenormals flush;
    const size_t n = pass.n;
    ActivationBackward(pass.kernels, activation_, y_.data(), dy_.data(), n * units_);
    std::memset(x_transposed_.data(), 0, x_transposed_.size() * sizeof(Bf16));
    kernels_.transpose(x, n, inputs_, inputs_, x_transposed_.data(), padded_batch_);
    for (size_t j = 0; j < units_; j += kBf16Panel) {
      for (size_t e = 0; e < padded_batch_; ++e) rows_.data()[e] = e < n ? dy_.data() + e * units_ + j : nullptr;
      kernels_.pack(rows_.data(), padded_batch_, std::min(kBf16Panel, units_ - j),
                    packed_dy_.data() + j * padded_batch_);
    }
    if (wants_dx) PackTurned(pass);
    UpdateBias(pass);
  }

  // B of the input gradient: dy turned around, [units][n].
  void PackTurned(const Pass& pass) {
    pass.kernels.transpose(dy_.data(), pass.n, units_, units_, dy_transposed_.data(), pass.n);
    for (size_t j = 0; j < pass.n; j += kBf16Panel) {
      for (size_t u = 0; u < padded_units_; ++u) {
        rows_.data()[u] = u < units_ ? dy_transposed_.data() + u * pass.n + j : nullptr;
      }
      kernels_.pack(rows_.data(), padded_units_, std::min(kBf16Panel, pass.n - j),
                    packed_turned_.data() + j * padded_units_);
    }
  }

  void UpdateBias(const Pass& pass) {
    const size_t offset = layer_.kernel_offset + layer_.kernel_size;
    const bool fused = pass.optimizer != nullptr;
    float* bias = fused ? bias_gradient_.data() : pass.gradients + offset;
    if (fused || pass.overwrite) std::memset(bias, 0, units_ * sizeof(float));
    pass.kernels.add_rows(dy_.data(), pass.n, units_, bias);
    if (fused) pass.optimizer->Update(offset, units_, false, bias, pass.parameters + offset);
  }

  // dW[in, out] = sum over examples of x[e, in] dy[e, out], for `rows` inputs.
  void KernelGradient(const Pass&, size_t row, size_t rows, bool accumulate, float* gradient) const {
    Bf16Args args;
    args.a = x_transposed_.data() + row * padded_batch_;
    args.rows = {rows, padded_batch_};
    args.depth = {padded_batch_, 1, 1, 0};
    args.b = packed_dy_.data();
    args.n = units_;
    args.c = gradient;
    args.ldc = units_;
    args.accumulate = accumulate;
    kernels_.gemm(args);
  }

  // dx[e, in] = sum over out of W[in, out] dy[e, out], for `rows` inputs from `row` on, computed transposed.
  void InputGradient(const Pass& pass, size_t row, size_t rows, float* dx, const Worker& worker) const {
    Bf16* w = worker.halves.data();
    for (size_t i = 0; i < rows; ++i) {
      const float* from = pass.parameters + layer_.kernel_offset + (row + i) * units_;
      kernels_.convert(from, units_, w + i * padded_units_);
      std::memset(w + i * padded_units_ + units_, 0, (padded_units_ - units_) * sizeof(Bf16));
    }
    Bf16Args args;
    args.a = w;
    args.rows = {rows, padded_units_};
    args.depth = {padded_units_, 1, 1, 0};
    args.b = packed_turned_.data();
    args.n = pass.n;
    args.c = worker.tile.data();
    args.ldc = padded_batch_;
    kernels_.gemm(args);
    pass.kernels.transpose(args.c, rows, pass.n, args.ldc, dx + row, inputs_);
  }

  const LayerSpec layer_;
  const Bf16Kernels& kernels_;
  const size_t inputs_, units_;
  const size_t padded_inputs_, padded_units_, padded_batch_;
  const Activation activation_;
  Floats y_, dy_;
  Floats dy_transposed_;  // [units, n]
  Floats bias_gradient_;
  Buffer<Bf16> x_;             // [n, padded_inputs_], zeros past inputs_
  Buffer<Bf16> x_transposed_;  // [inputs_, padded_batch_]
  Buffer<Bf16> packed_dy_, packed_turned_;
  Buffer<const float*> rows_;
};

}  // namespace

std::unique_ptr<Segment> MakeBf16DenseSegment(const LayerSpec& layer, bool is_last, const SegmentOptions& options) {
  return std::make_unique<Bf16DenseSegment>(layer, is_last, options);
}

}  // namespace tributary::nn
