// Convolutions, pools, activations and dropout: each image goes through all of a segment's layers while it is in cache.
//
// A convolution is one product over the padded image itself (Axis walks the patches, none is copied):
//   y[pixel, f]     = sum over (ky, kx, c) of x[patch] W[ky, kx, c, f]
//   dW[ky kx c, f]  = sum over pixels      of x[patch] dy[pixel, f]
//   dx[pixel, c]    = sum over (ky, kx, f) of e[patch] W'[ky, kx, f, c]
// where e is dy spread out by the strides inside a border of kernel - 1 zeros, and W' is W turned by 180 degrees.
#include <algorithm>
#include <cstring>

#include "common/nn/kernels/parallel.h"
#include "common/nn/segment.h"

namespace tributary::nn {
namespace {

// Parameter gradients: one partial sum a chunk of images, chunks joined in order. The cut is made by n alone.
constexpr size_t kMaxChunks = 16, kMinChunk = 4;

size_t ChunkImages(size_t n) { return std::max(kMinChunk, (n + kMaxChunks - 1) / kMaxChunks); }
size_t Chunks(size_t n) { return (n + ChunkImages(n) - 1) / ChunkImages(n); }
size_t MostChunks(size_t max_n) { return std::min(kMaxChunks, (max_n + kMinChunk - 1) / kMinChunk); }

PoolArgs ToPoolArgs(const LayerSpec& l) {
  return {l.in.h,     l.in.w,     l.out.h,    l.out.w,   l.in.c,    l.window_h,
          l.window_w, l.stride_h, l.stride_w, l.pad_top, l.pad_left};
}

struct Node {
  LayerSpec spec;
  Activation activation = Activation::kNone;  // what this segment applies itself
  AlignedFloats y;                            // [max_batch, out]
  std::vector<uint16_t> index;                // max pool, training: [max_batch, out]
  std::vector<uint8_t> kept;                  // dropout, training: [max_batch, out]
  size_t dropout_block = 0;
  AlignedFloats turned;       // conv, training, when dx is wanted: W' [kh, kw, f, c]
  size_t partial_offset = 0;  // conv: where its kernel and bias stand in a chunk's partial

  bool has_parameters() const { return spec.kernel_size > 0; }
  // The padded image: at least the input, and all that the windows reach.
  size_t padded_h() const {
    return std::max((spec.out.h - 1) * spec.stride_h + spec.window_h, spec.in.h + spec.pad_top);
  }
  size_t padded_w() const {
    return std::max((spec.out.w - 1) * spec.stride_w + spec.window_w, spec.in.w + spec.pad_left);
  }
  bool needs_padding() const {
    return spec.padding == Padding::kSame && (padded_h() > spec.in.h || padded_w() > spec.in.w);
  }
  size_t row_width() const { return needs_padding() ? padded_w() : spec.in.w; }
  size_t expanded_h() const { return spec.in.h + spec.window_h - 1; }
  size_t expanded_w() const { return spec.in.w + spec.window_w - 1; }
};

class LocalSegment final : public Segment {
 public:
  LocalSegment(std::vector<LayerSpec> layers, bool is_last, size_t max_batch, bool training, size_t dropout_block_begin,
               size_t dropout_blocks_per_example)
      : dropout_blocks_per_example_(dropout_blocks_per_example) {
    nodes_.reserve(layers.size());
    for (size_t i = 0; i < layers.size(); ++i) {
      Node node;
      node.spec = layers[i];
      if (!is_last || i + 1 < layers.size()) node.activation = node.spec.activation;
      const size_t values = max_batch * node.spec.out.size();
      node.y = AlignedFloats(values);
      if (training && node.spec.kind == LayerKind::kMaxPool2D) node.index.resize(values);
      if (training && node.spec.kind == LayerKind::kDropout) node.kept.resize(values);
      if (training && node.spec.kind == LayerKind::kConv2D) node.turned = AlignedFloats(node.spec.kernel_size);
      node.dropout_block = dropout_block_begin;
      dropout_block_begin += DropoutBlocks(node.spec);
      node.partial_offset = partial_size_;
      partial_size_ += node.spec.kernel_size + node.spec.bias_size;
      nodes_.push_back(std::move(node));
    }
    if (!training) return;
    dy_ = AlignedFloats(max_batch * nodes_.back().spec.out.size());
    partials_ = AlignedFloats(MostChunks(max_batch) * partial_size_);
    joined_ = AlignedFloats(partial_size_);
  }

  const float* Forward(const Pass& pass, const float* x) override {
    const size_t inputs = nodes_.front().spec.in.size();
    const size_t chunk = ChunkImages(pass.n);
    ParallelFor(pass.threads, Chunks(pass.n), [&](size_t task, size_t worker) {
      for (size_t i = task * chunk; i < std::min(pass.n, (task + 1) * chunk); ++i) {
        const float* from = x + i * inputs;
        for (Node& node : nodes_) {
          float* to = node.y.data() + i * node.spec.out.size();
          ForwardNode(pass, i, from, to, &pass.workers[worker], &node);
          from = to;
        }
      }
    });
    return nodes_.back().y.data();
  }

  void Backward(const Pass& pass, const float* x, float* dx) override {
    for (size_t k = 0; k < nodes_.size(); ++k) {
      if (nodes_[k].has_parameters() && (k > 0 || dx != nullptr)) TurnKernel(pass, &nodes_[k]);
    }
    const size_t chunk = ChunkImages(pass.n);
    ParallelFor(pass.threads, Chunks(pass.n), [&](size_t task, size_t worker) {
      float* partial = partials_.data() + task * partial_size_;
      if (partial_size_ > 0) std::memset(partial, 0, partial_size_ * sizeof(float));
      for (size_t i = task * chunk; i < std::min(pass.n, (task + 1) * chunk); ++i) {
        BackwardImage(pass, i, x, dx, partial, &pass.workers[worker]);
      }
    });
    JoinPartials(pass);
  }

  float* gradient() override { return dy_.data(); }

  ScratchNeeds scratch(const Kernels& kernels) const override {
    ScratchNeeds needs;
    for (const Node& node : nodes_) {
      ScratchNeeds own;
      own.gradient = std::max(node.spec.in.size(), node.spec.out.size());
      if (node.has_parameters()) {
        own.gemm = kernels.gemm_scratch;
        own.padded = node.needs_padding() ? node.padded_h() * node.padded_w() * node.spec.in.c : 0;
        own.expanded = dy_.size() > 0 ? node.expanded_h() * node.expanded_w() * node.spec.out.c : 0;
      }
      needs.Cover(own);
    }
    if (dy_.size() == 0) needs.gradient = 0;
    return needs;
  }

 private:
  void ForwardNode(const Pass& pass, size_t image, const float* x, float* y, Worker* worker, Node* node) const {
    const LayerSpec& spec = node->spec;
    const size_t values = spec.out.size();
    switch (spec.kind) {
      case LayerKind::kConv2D:
        Convolve(pass, *node, x, y, worker);
        break;
      case LayerKind::kMaxPool2D: {
        uint16_t* index = pass.training ? node->index.data() + image * values : nullptr;
        pass.kernels.max_pool(ToPoolArgs(spec), x, y, index);
        break;
      }
      case LayerKind::kAvgPool2D:
        pass.kernels.avg_pool(ToPoolArgs(spec), x, y);
        break;
      case LayerKind::kDropout:
        std::memcpy(y, x, values * sizeof(float));
        if (pass.training) Drop(pass, image, y, node);
        break;
      default:
        std::memcpy(y, x, values * sizeof(float));  // an activation on its own
    }
    const bool done = spec.kind == LayerKind::kConv2D && node->activation == Activation::kRelu;
    if (!done) ApplyActivation(pass.kernels, node->activation, y, values);
  }

  static void Convolve(const Pass& pass, const Node& node, const float* x, float* y, Worker* worker) {
    const LayerSpec& spec = node.spec;
    const size_t row = node.row_width() * spec.in.c;
    GemmArgs args;
    args.a = Padded(node, x, worker);
    args.rows = {spec.out.w, spec.stride_w * spec.in.c, spec.out.h, spec.stride_h * row};
    args.depth = {spec.window_w * spec.in.c, 1, spec.window_h, row};
    args.b = pass.parameters + spec.kernel_offset;
    args.ldb = spec.out.c;
    args.n = spec.out.c;
    args.c = y;
    args.ldc = spec.out.c;
    args.bias = pass.parameters + spec.kernel_offset + spec.kernel_size;
    args.relu = node.activation == Activation::kRelu;
    pass.kernels.gemm(args, worker->gemm.data());
  }

  // The image with its border of zeros, or the image itself when it needs none.
  static const float* Padded(const Node& node, const float* x, Worker* worker) {
    if (!node.needs_padding()) return x;
    const LayerSpec& spec = node.spec;
    float* padded = worker->padded.data();
    const size_t width = node.padded_w() * spec.in.c, used = spec.in.w * spec.in.c;
    std::memset(padded, 0, node.padded_h() * width * sizeof(float));
    float* to = padded + spec.pad_top * width + spec.pad_left * spec.in.c;
    for (size_t y = 0; y < spec.in.h; ++y) std::memcpy(to + y * width, x + y * used, used * sizeof(float));
    return padded;
  }

  void Drop(const Pass& pass, size_t image, float* y, Node* node) const {
    const size_t values = node->spec.out.size();
    uint8_t* kept = node->kept.data() + image * values;
    const uint64_t first_block =
        (pass.info.step << 32) |
        ((pass.info.first_example + image) * dropout_blocks_per_example_ + node->dropout_block);
    for (size_t i = 0; i < values; i += 4) {
      const auto words = pass.dropout.BlockAt(first_block + i / 4);
      for (size_t k = 0; k < 4 && i + k < values; ++k) {
        kept[i + k] = static_cast<float>(words[k] >> 8) * 0x1p-24f >= node->spec.rate ? 1 : 0;
      }
    }
    Mask(kept, node->spec.rate, y, values);
  }

  // Multiplies, so that a NaN stays one.
  static void Mask(const uint8_t* kept, float rate, float* y, size_t n) {
    const float scale = 1.0f / (1.0f - rate);
    for (size_t i = 0; i < n; ++i) y[i] *= static_cast<float>(kept[i]) * scale;
  }

  static void TurnKernel(const Pass& pass, Node* node) {
    const LayerSpec& spec = node->spec;
    const size_t taps = spec.window_h * spec.window_w, c = spec.in.c, f = spec.out.c;
    const float* w = pass.parameters + spec.kernel_offset;
    for (size_t tap = 0; tap < taps; ++tap) {
      pass.kernels.transpose(w + tap * c * f, c, f, f, node->turned.data() + (taps - 1 - tap) * f * c, c);
    }
  }

  void BackwardImage(const Pass& pass, size_t image, const float* x, float* dx, float* partial, Worker* worker) {
    float* dy = dy_.data() + image * nodes_.back().spec.out.size();
    int next = 0;
    for (size_t k = nodes_.size(); k-- > 0;) {
      Node& node = nodes_[k];
      const LayerSpec& spec = node.spec;
      const float* in = k == 0 ? x + image * spec.in.size() : nodes_[k - 1].y.data() + image * spec.in.size();
      float* to = worker->gradient[next].data();
      if (k == 0) to = dx == nullptr ? nullptr : dx + image * spec.in.size();
      if (!TakesReluOfPrevious(k + 1)) {
        ActivationBackward(pass.kernels, node.activation, node.y.data() + image * spec.out.size(), dy, spec.out.size());
      }
      if (TakesReluOfPrevious(k))
        pass.kernels.relu_backward(node.y.data() + image * spec.out.size(), dy, spec.out.size());
      BackwardNode(pass, node, image, in, dy, to, partial + node.partial_offset, worker);
      dy = to;
      next = 1 - next;
    }
  }

  // Whether node k is a max pool that gives each of its inputs at most one gradient, after a ReLU. The input that gets
  // one is the one that y shows, so the ReLU's backward step can be taken on the pool's output, which is smaller: the
  // same bits.
  bool TakesReluOfPrevious(size_t k) const {
    if (k == 0 || k == nodes_.size() || nodes_[k - 1].activation != Activation::kRelu) return false;
    const LayerSpec& spec = nodes_[k].spec;
    return spec.kind == LayerKind::kMaxPool2D && spec.stride_h >= spec.window_h && spec.stride_w >= spec.window_w;
  }

  // dy is after the activation. `to` may be null: no one wants the gradient of the input.
  static void BackwardNode(const Pass& pass, const Node& node, size_t image, const float* x, const float* dy, float* to,
                           float* partial, Worker* worker) {
    const LayerSpec& spec = node.spec;
    const size_t values = spec.out.size();
    switch (spec.kind) {
      case LayerKind::kConv2D:
        ConvolveKernelGradient(pass, node, x, dy, partial, worker);
        pass.kernels.add_rows(dy, spec.out.h * spec.out.w, spec.out.c, partial + spec.kernel_size);
        if (to != nullptr) ConvolveInputGradient(pass, node, dy, to, worker);
        return;
      case LayerKind::kMaxPool2D:
        if (to == nullptr) return;
        return pass.kernels.max_pool_backward(ToPoolArgs(spec), dy, node.index.data() + image * values, to);
      case LayerKind::kAvgPool2D:
        if (to == nullptr) return;
        return pass.kernels.avg_pool_backward(ToPoolArgs(spec), dy, to);
      case LayerKind::kDropout:
        if (to == nullptr) return;
        std::memcpy(to, dy, values * sizeof(float));
        return Mask(node.kept.data() + image * values, spec.rate, to, values);
      default:
        if (to != nullptr) std::memcpy(to, dy, values * sizeof(float));
    }
  }

  static void ConvolveKernelGradient(const Pass& pass, const Node& node, const float* x, const float* dy,
                                     float* partial, Worker* worker) {
    const LayerSpec& spec = node.spec;
    const size_t row = node.row_width() * spec.in.c;
    GemmArgs args;
    args.a = Padded(node, x, worker);
    args.rows = {spec.window_w * spec.in.c, 1, spec.window_h, row};
    args.depth = {spec.out.w, spec.stride_w * spec.in.c, spec.out.h, spec.stride_h * row};
    args.b = dy;
    args.ldb = spec.out.c;
    args.n = spec.out.c;
    args.c = partial;
    args.ldc = spec.out.c;
    args.accumulate = true;
    pass.kernels.gemm(args, worker->gemm.data());
  }

  static void ConvolveInputGradient(const Pass& pass, const Node& node, const float* dy, float* dx, Worker* worker) {
    const LayerSpec& spec = node.spec;
    const size_t row = node.expanded_w() * spec.out.c;
    float* expanded = worker->expanded.data();
    std::memset(expanded, 0, node.expanded_h() * row * sizeof(float));
    for (size_t oy = 0; oy < spec.out.h; ++oy) {
      float* to = expanded + (oy * spec.stride_h + spec.window_h - 1 - spec.pad_top) * row;
      for (size_t ox = 0; ox < spec.out.w; ++ox, dy += spec.out.c) {
        const size_t column = ox * spec.stride_w + spec.window_w - 1 - spec.pad_left;
        std::memcpy(to + column * spec.out.c, dy, spec.out.c * sizeof(float));
      }
    }
    GemmArgs args;
    args.a = expanded;
    args.rows = {spec.in.w, spec.out.c, spec.in.h, row};
    args.depth = {spec.window_w * spec.out.c, 1, spec.window_h, row};
    args.b = node.turned.data();
    args.ldb = spec.in.c;
    args.n = spec.in.c;
    args.c = dx;
    args.ldc = spec.in.c;
    pass.kernels.gemm(args, worker->gemm.data());
  }

  // The chunks' partial sums, in order, into the network's gradients or the optimiser.
  void JoinPartials(const Pass& pass) {
    const FlushDenormals flush;
    for (const Node& node : nodes_) {
      const size_t kernel = node.spec.kernel_size, values = kernel + node.spec.bias_size;
      if (values == 0) continue;
      const bool fused = pass.optimizer != nullptr;
      float* to = fused ? joined_.data() + node.partial_offset : pass.gradients + node.spec.kernel_offset;
      if (fused || pass.overwrite) std::memset(to, 0, values * sizeof(float));
      for (size_t task = 0; task < Chunks(pass.n); ++task) {
        pass.kernels.add(partials_.data() + task * partial_size_ + node.partial_offset, values, to);
      }
      if (!fused) continue;
      float* w = pass.parameters + node.spec.kernel_offset;
      pass.optimizer->Update(node.spec.kernel_offset, kernel, true, to, w);
      pass.optimizer->Update(node.spec.kernel_offset + kernel, values - kernel, false, to + kernel, w + kernel);
    }
  }

  std::vector<Node> nodes_;
  const size_t dropout_blocks_per_example_;
  AlignedFloats dy_;
  AlignedFloats partials_;  // [chunks, partial_size_]
  AlignedFloats joined_;    // [partial_size_], for the optimiser
  size_t partial_size_ = 0;
};

}  // namespace

size_t DropoutBlocks(const LayerSpec& layer) {
  return layer.kind == LayerKind::kDropout ? (layer.out.size() + 3) / 4 : 0;
}

std::unique_ptr<Segment> MakeLocalSegment(std::vector<LayerSpec> layers, bool is_last, size_t max_batch, bool training,
                                          size_t dropout_block_begin, size_t dropout_blocks_per_example) {
  return std::make_unique<LocalSegment>(std::move(layers), is_last, max_batch, training, dropout_block_begin,
                                        dropout_blocks_per_example);
}

}  // namespace tributary::nn
