// y = f(x W + b) for a whole batch: three products, each cut into tiles that are summed whole by one task.
#include <algorithm>
#include <cstring>

#include "common/nn/kernels/parallel.h"
#include "common/nn/segment.h"

namespace tributary::nn {
namespace {

constexpr size_t kForwardRows = 64;     // examples a task
constexpr size_t kPanelFloats = 16384;  // of W, its gradient and its state, that a task holds in cache
constexpr size_t kMostPanelRows = 128;

// A row of the transposed batch is padded to the widest panel of any instruction set, and worked on in whole vectors.
constexpr size_t kBatchPad = 16;
size_t Pieces(size_t total, size_t piece) { return (total + piece - 1) / piece; }
size_t PaddedBatch(size_t n) { return Pieces(n, 2 * kBatchPad) * 2 * kBatchPad; }
// Rows of W that one task of the backward pass works on.
size_t PanelRows(size_t units) { return std::clamp(kPanelFloats / units, size_t{1}, kMostPanelRows); }

class DenseSegment final : public Segment {
 public:
  DenseSegment(const LayerSpec& layer, bool is_last, size_t max_batch, bool training)
      : layer_(layer),
        inputs_(layer.in.size()),
        units_(layer.out.c),
        activation_(is_last ? Activation::kNone : layer.activation),
        y_(max_batch * units_),
        dy_(training ? max_batch * units_ : 0),
        bias_gradient_(training ? units_ : 0),
        dy_transposed_(training ? PaddedBatch(max_batch) * units_ : 0),
        tile_floats_(training ? PanelRows(units_) * std::max(units_, PaddedBatch(max_batch)) : 0) {}

  const float* Forward(const Pass& pass, const float* x) override {
    const size_t width = ForwardColumns(pass);
    const size_t pieces = Pieces(units_, width);
    const float* w = pass.parameters + layer_.kernel_offset;
    ParallelFor(pass.threads, pieces * Pieces(pass.n, kForwardRows), [&](size_t task, size_t worker) {
      const size_t row = task / pieces * kForwardRows, column = task % pieces * width;
      const size_t rows = std::min(kForwardRows, pass.n - row);
      GemmArgs args;
      args.a = x + row * inputs_;
      args.rows = {rows, inputs_};
      args.depth = {inputs_, 1};
      args.b = w + column;
      args.ldb = units_;
      args.n = std::min(width, units_ - column);
      args.c = y_.data() + row * units_ + column;
      args.ldc = units_;
      args.bias = w + layer_.kernel_size + column;
      args.relu = activation_ == Activation::kRelu;
      pass.kernels.gemm(args, pass.workers[worker].gemm.data());
      if (args.relu) return;
      for (size_t i = 0; i < rows; ++i) ApplyActivation(pass.kernels, activation_, args.c + i * units_, args.n);
    });
    return y_.data();
  }

  // In panels of W's rows: the input gradient with W as it is, then the panel's own gradient, then (when the pass has
  // an optimiser) its update while all of it is in cache.
  void Backward(const Pass& pass, const float* x, float* dx) override {
    BeginBackward(pass, dx != nullptr);
    const size_t panel = PanelRows(units_);
    ParallelFor(pass.threads, Pieces(inputs_, panel), [&](size_t task, size_t worker) {
      const size_t row = task * panel, rows = std::min(panel, inputs_ - row);
      if (dx != nullptr) InputGradient(pass, row, rows, dx, pass.workers[worker]);
      const size_t offset = layer_.kernel_offset + row * units_;
      if (pass.optimizer == nullptr) {
        KernelGradient(pass, x + row, rows, !pass.overwrite, pass.gradients + offset, pass.workers[worker]);
        return;
      }
      float* gradient = pass.workers[worker].tile.data();
      KernelGradient(pass, x + row, rows, false, gradient, pass.workers[worker]);
      pass.optimizer->Update(offset, rows * units_, true, gradient, pass.parameters + offset);
    });
  }

  float* gradient() override { return dy_.data(); }

  ScratchNeeds scratch(const Kernels& kernels) const override {
    ScratchNeeds needs;
    needs.gemm = kernels.gemm_scratch;
    needs.tile = tile_floats_;
    return needs;
  }

 private:
  // Columns of W a task of the forward pass: all of them, so that W's rows are read whole, unless threads would have
  // nothing to do. Each sum is one task's, so its bits do not depend on this.
  size_t ForwardColumns(const Pass& pass) const {
    const size_t threads = static_cast<size_t>(pass.threads);
    if (Pieces(pass.n, kForwardRows) >= threads) return units_;
    const size_t panel = pass.kernels.gemm_panel;
    return Pieces(Pieces(units_, panel), threads) * panel;
  }

  // What the panels share: dy through the activation, dy turned around, the bias.
  void BeginBackward(const Pass& pass, bool wants_dx) {
    const FlushDenormals flush;
    ActivationBackward(pass.kernels, activation_, y_.data(), dy_.data(), pass.n * units_);
    if (wants_dx) {
      pass.kernels.transpose(dy_.data(), pass.n, units_, units_, dy_transposed_.data(), PaddedBatch(pass.n));
    }
    const size_t offset = layer_.kernel_offset + layer_.kernel_size;
    const bool fused = pass.optimizer != nullptr;
    float* bias = fused ? bias_gradient_.data() : pass.gradients + offset;
    if (fused || pass.overwrite) std::memset(bias, 0, units_ * sizeof(float));
    pass.kernels.add_rows(dy_.data(), pass.n, units_, bias);
    if (fused) pass.optimizer->Update(offset, units_, false, bias, pass.parameters + offset);
  }

  // dW[in, out] = sum over examples of x[e, in] dy[e, out], for `rows` inputs.
  void KernelGradient(const Pass& pass, const float* x, size_t rows, bool accumulate, float* gradient,
                      const Worker& worker) const {
    GemmArgs args;
    args.a = x;
    args.rows = {rows, 1};
    args.depth = {pass.n, inputs_};
    args.b = dy_.data();
    args.ldb = units_;
    args.n = units_;
    args.c = gradient;
    args.ldc = units_;
    args.accumulate = accumulate;
    pass.kernels.gemm(args, worker.gemm.data());
  }

  // dx[e, in] = sum over out of W[in, out] dy[e, out], for `rows` inputs from `row` on, computed transposed: then W's
  // rows are read as they lie, and only the batch, which is small, is turned around. The columns that pad the batch
  // hold whatever an earlier batch left there; what comes of them is not read.
  void InputGradient(const Pass& pass, size_t row, size_t rows, float* dx, const Worker& worker) const {
    GemmArgs args;
    args.a = pass.parameters + layer_.kernel_offset + row * units_;
    args.rows = {rows, units_};
    args.depth = {units_, 1};
    args.b = dy_transposed_.data();
    args.ldb = PaddedBatch(pass.n);
    args.n = std::min(Pieces(pass.n, kBatchPad) * kBatchPad, args.ldb);
    args.c = worker.tile.data();
    args.ldc = args.n;
    pass.kernels.gemm(args, worker.gemm.data());
    pass.kernels.transpose(args.c, rows, pass.n, args.ldc, dx + row, inputs_);
  }

  const LayerSpec layer_;
  const size_t inputs_, units_;
  const Activation activation_;
  Floats y_, dy_;
  Floats bias_gradient_;
  Floats dy_transposed_;  // [units, PaddedBatch(n)]
  const size_t tile_floats_;
};

}  // namespace

std::unique_ptr<Segment> MakeFloat32DenseSegment(const LayerSpec& layer, bool is_last, const SegmentOptions& options) {
  return std::make_unique<DenseSegment>(layer, is_last, options.max_batch, options.training);
}

}  // namespace tributary::nn
