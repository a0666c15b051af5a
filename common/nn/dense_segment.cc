// y = f(x W + b) for a whole batch: three products, each cut into tiles that are summed whole by one task.
#include <algorithm>
#include <cstring>

#include "common/nn/kernels/parallel.h"
#include "common/nn/segment.h"

namespace tributary::nn {
namespace {

constexpr size_t kForwardRows = 64;    // examples a task
constexpr size_t kKernelRows = 128;    // rows of W a task, for its gradient
constexpr size_t kInputColumns = 128;  // inputs a task, for the gradient of x

size_t Pieces(size_t total, size_t piece) { return (total + piece - 1) / piece; }
// Widest vector pair of any instruction set: a row of a transposed batch is padded to it.
size_t PaddedBatch(size_t n) { return Pieces(n, 32) * 32; }

class DenseSegment final : public Segment {
 public:
  DenseSegment(const LayerSpec& layer, bool is_last, size_t max_batch, bool training)
      : layer_(layer),
        inputs_(layer.in.size()),
        units_(layer.out.c),
        activation_(is_last ? Activation::kNone : layer.activation),
        y_(max_batch * units_),
        dy_(training ? max_batch * units_ : 0),
        dy_transposed_(training ? PaddedBatch(max_batch) * units_ : 0),
        tile_floats_(training ? kInputColumns * max_batch : 0) {}

  const float* Forward(const Pass& pass, const float* x) override {
    const size_t panel = pass.kernels.gemm_panel;
    const size_t panels = Pieces(units_, panel);
    const float* w = pass.parameters + layer_.kernel_offset;
    ParallelFor(pass.threads, panels * Pieces(pass.n, kForwardRows), [&](size_t task, size_t worker) {
      const size_t row = task / panels * kForwardRows, column = task % panels * panel;
      const size_t rows = std::min(kForwardRows, pass.n - row);
      GemmArgs args;
      args.a = x + row * inputs_;
      args.rows = {rows, inputs_};
      args.depth = {inputs_, 1};
      args.b = w + column;
      args.ldb = units_;
      args.n = std::min(panel, units_ - column);
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

  void Backward(const Pass& pass, const float* x, float* dx) override {
    {
      const FlushDenormals flush;
      ActivationBackward(pass.kernels, activation_, y_.data(), dy_.data(), pass.n * units_);
      float* bias = pass.gradients + layer_.kernel_offset + layer_.kernel_size;
      if (pass.overwrite) std::memset(bias, 0, units_ * sizeof(float));
      pass.kernels.add_rows(dy_.data(), pass.n, units_, bias);
    }
    KernelGradient(pass, x);
    if (dx != nullptr) InputGradient(pass, dx);
  }

  float* gradient() override { return dy_.data(); }

  ScratchNeeds scratch(const Kernels& kernels) const override {
    ScratchNeeds needs;
    needs.gemm = kernels.gemm_scratch;
    needs.tile = tile_floats_;
    return needs;
  }

 private:
  // dW[in, out] = sum over examples of x[e, in] dy[e, out].
  void KernelGradient(const Pass& pass, const float* x) {
    ParallelFor(pass.threads, Pieces(inputs_, kKernelRows), [&](size_t task, size_t worker) {
      const size_t row = task * kKernelRows;
      GemmArgs args;
      args.a = x + row;
      args.rows = {std::min(kKernelRows, inputs_ - row), 1};
      args.depth = {pass.n, inputs_};
      args.b = dy_.data();
      args.ldb = units_;
      args.n = units_;
      args.c = pass.gradients + layer_.kernel_offset + row * units_;
      args.ldc = units_;
      args.accumulate = !pass.overwrite;
      pass.kernels.gemm(args, pass.workers[worker].gemm.data());
    });
  }

  // dx[e, in] = sum over out of W[in, out] dy[e, out], computed transposed: then W's rows are read as they lie, and
  // only the batch, which is small, is turned around.
  void InputGradient(const Pass& pass, float* dx) {
    const size_t stride = PaddedBatch(pass.n);
    pass.kernels.transpose(dy_.data(), pass.n, units_, units_, dy_transposed_.data(), stride);
    ParallelFor(pass.threads, Pieces(inputs_, kInputColumns), [&](size_t task, size_t worker) {
      const size_t input = task * kInputColumns;
      const size_t inputs = std::min(kInputColumns, inputs_ - input);
      Worker& scratch = pass.workers[worker];
      GemmArgs args;
      args.a = pass.parameters + layer_.kernel_offset + input * units_;
      args.rows = {inputs, units_};
      args.depth = {units_, 1};
      args.b = dy_transposed_.data();
      args.ldb = stride;
      args.n = pass.n;
      args.c = scratch.tile.data();
      args.ldc = pass.n;
      pass.kernels.gemm(args, scratch.gemm.data());
      pass.kernels.transpose(args.c, inputs, pass.n, pass.n, dx + input, inputs_);
    });
  }

  const LayerSpec layer_;
  const size_t inputs_, units_;
  const Activation activation_;
  AlignedFloats y_, dy_;
  AlignedFloats dy_transposed_;  // [units, PaddedBatch(n)]
  const size_t tile_floats_;
};

}  // namespace

std::unique_ptr<Segment> MakeDenseSegment(const LayerSpec& layer, bool is_last, size_t max_batch, bool training) {
  return std::make_unique<DenseSegment>(layer, is_last, max_batch, training);
}

}  // namespace tributary::nn
