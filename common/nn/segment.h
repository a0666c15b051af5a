// A stretch of layers that the network works as one. Inside common/nn only.
//
// Two kinds. A local segment (convolutions, pools, activations, dropout) takes an image through all its layers while it
// is in cache, images dealt out in fixed chunks. A dense segment works the whole batch as one product.
#ifndef TRIBUTARY_COMMON_NN_SEGMENT_H_
#define TRIBUTARY_COMMON_NN_SEGMENT_H_

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "common/base/random.h"
#include "common/nn/buffer.h"
#include "common/nn/kernels/bf16.h"
#include "common/nn/kernels/kernels.h"
#include "common/nn/model_description.h"
#include "common/nn/network.h"
#include "common/nn/optimizer.h"

namespace tributary::nn {

// Elements of each kind of scratch that one worker needs.
struct ScratchNeeds {
  size_t gemm = 0, padded = 0, expanded = 0, tile = 0, gradient = 0;
  size_t halves = 0;
  size_t rows = 0;  // of a matrix, by pointer
  size_t kept = 0;  // unlike the others each layer has its own
  void Cover(const ScratchNeeds& other);
};

// One worker's scratch. Nothing in it outlives a task; but for `kept`, nothing outlives a layer's turn at an image.
struct Worker {
  explicit Worker(const ScratchNeeds& needs)
      : gemm(needs.gemm),
        padded(needs.padded),
        expanded(needs.expanded),
        tile(needs.tile),
        halves(needs.halves),
        kept(needs.kept),
        rows(needs.rows),
        gradient{Floats(needs.gradient), Floats(needs.gradient)} {}
  Floats gemm, padded, expanded, tile;
  Buffer<Bf16> halves, kept;
  Buffer<const float*> rows;
  Floats gradient[2];  // of one image between two layers
};

// What one forward or backward pass over a batch needs to know. Everything is borrowed.
struct Pass {
  const Kernels& kernels;
  int threads;
  std::span<Worker> workers;
  size_t n;  // examples, at most Options::max_batch
  bool training;
  StepInfo info;
  const Rng& dropout;
  float* parameters;
  float* gradients;      // null when not training, or when `optimizer` takes them as they come
  bool overwrite;        // gradients: write, do not add
  Optimizer* optimizer;  // Backward also updates the parameters; null: it leaves them alone
};

class Segment {
 public:
  virtual ~Segment() = default;
  // [n, in] -> [n, out]; the result lives until the next Forward.
  virtual const float* Forward(const Pass& pass, const float* x) = 0;
  // Takes gradient() and the x of the last Forward; adds to (or writes) pass.gradients, or hands them to
  // pass.optimizer; writes dx unless null. Spoils gradient().
  virtual void Backward(const Pass& pass, const float* x, float* dx) = 0;
  // [n, out]: the caller writes d loss / d output here before Backward.
  virtual float* gradient() = 0;
  virtual ScratchNeeds scratch(const Kernels& kernels) const = 0;
};

// y = f(y) and dy = dy f'(x), by name. Not softmax.
void ApplyActivation(const Kernels& kernels, Activation activation, float* y, size_t n);
void ActivationBackward(const Kernels& kernels, Activation activation, const float* y, float* dy, size_t n);

struct SegmentOptions {
  size_t max_batch;
  bool training;
  const Bf16Kernels* bf16;  // null: float32
};

// `layer` is dense; its activation is applied unless it is the model's last (`head` applies that one).
std::unique_ptr<Segment> MakeFloat32DenseSegment(const LayerSpec& layer, bool is_last, const SegmentOptions& options);
std::unique_ptr<Segment> MakeBf16DenseSegment(const LayerSpec& layer, bool is_last, const SegmentOptions& options);
// Consecutive layers, none dense, none flatten. `is_last`: the last of them is the model's last.
// An example takes `dropout_blocks_per_example` Philox blocks in the whole model, this segment those from
// `dropout_block_begin` on.
std::unique_ptr<Segment> MakeLocalSegment(std::vector<LayerSpec> layers, bool is_last, const SegmentOptions& options,
                                          size_t dropout_block_begin, size_t dropout_blocks_per_example);
// Philox blocks (4 words) that one example's mask takes in this layer; 0 for other layers.
size_t DropoutBlocks(const LayerSpec& layer);

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_SEGMENT_H_
