// Convolutions, pools, activations and dropout: each image goes through all of a segment's layers while it is in cache.
#include <algorithm>
#include <cstring>

#include "common/nn/conv_products.h"
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
  Floats y;                                   // [max_batch, out]
  Buffer<uint16_t> index;                     // max pool, training: [max_batch, out]
  Buffer<uint8_t> kept;                       // dropout, training: [max_batch, out]
  size_t dropout_block = 0;
  std::unique_ptr<ConvProducts> conv;
  size_t partial_offset = 0;  // conv: where its kernel and bias stand in a chunk's partial
};

class LocalSegment final : public Segment {
 public:
  LocalSegment(std::vector<LayerSpec> layers, bool is_last, const SegmentOptions& options, size_t dropout_block_begin,
               size_t dropout_blocks_per_example)
      : dropout_blocks_per_example_(dropout_blocks_per_example) {
    const auto& [max_batch, training, bf16] = options;
    nodes_.reserve(layers.size());
    for (size_t i = 0; i < layers.size(); ++i) {
      Node node;
      node.spec = layers[i];
      if (!is_last || i + 1 < layers.size()) node.activation = node.spec.activation;
      const size_t values = max_batch * node.spec.out.size();
      node.y = Floats(values);
      if (training && node.spec.kind == LayerKind::kMaxPool2D) node.index = Buffer<uint16_t>(values);
      if (training && node.spec.kind == LayerKind::kDropout) node.kept = Buffer<uint8_t>(values);
      if (node.spec.kind == LayerKind::kConv2D) {
        const bool relu = node.activation == Activation::kRelu;
        node.conv = bf16 == nullptr ? MakeFloat32ConvProducts(node.spec, relu, training)
                                    : MakeBf16ConvProducts(node.spec, relu, training, *bf16);
      }
      node.dropout_block = dropout_block_begin;
      dropout_block_begin += DropoutBlocks(node.spec);
      node.partial_offset = partial_size_;
      partial_size_ += node.spec.kernel_size + node.spec.bias_size;
      nodes_.push_back(std::move(node));
    }
    if (!training) return;
    dy_ = Floats(max_batch * nodes_.back().spec.out.size());
    partials_ = Floats(MostChunks(max_batch) * partial_size_);
    joined_ = Floats(partial_size_);
  }

  const float* Forward(const Pass& pass, const float* x) override {
    const size_t inputs = nodes_.front().spec.in.size();
    const size_t chunk = ChunkImages(pass.n);
    for (Node& node : nodes_) {
      if (node.conv) node.conv->BeginForward(pass);
    }
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
      if (nodes_[k].conv) nodes_[k].conv->BeginBackward(pass, k > 0 || dx != nullptr);
    }
    const size_t chunk = ChunkImages(pass.n);
    ParallelFor(pass.threads, Chunks(pass.n), [&](size_t task, size_t worker) {
      float* partial = partials_.data() + task * partial_size_;
      if (partial_size_ > 0) std::memset(partial, 0, partial_size_ * sizeof(float));
      const size_t begin = task * chunk, end = std::min(pass.n, begin + chunk);
      for (size_t i = begin; i < end; ++i) {
        const size_t slot = (i - begin) % ConvProducts::kGroup;
        BackwardImage(pass, i, slot, x, dx, partial, &pass.workers[worker]);
        if (slot + 1 == ConvProducts::kGroup || i + 1 == end)
          FinishGroup(pass, slot + 1, partial, pass.workers[worker]);
      }
    });
    JoinPartials(pass);
  }

  float* gradient() override { return dy_.data(); }

  ScratchNeeds scratch(const Kernels& kernels) const override {
    ScratchNeeds needs;
    size_t kept = 0;
    for (const Node& node : nodes_) {
      ScratchNeeds own;
      own.gradient = std::max(node.spec.in.size(), node.spec.out.size());
      if (node.conv) {
        needs.Cover(node.conv->scratch(kernels));
        node.conv->set_kept_offset(kept);
        kept += node.conv->scratch(kernels).kept;
      }
      needs.Cover(own);
    }
    needs.kept = kept;
    if (dy_.size() == 0) needs.gradient = 0;
    return needs;
  }

 private:
  void ForwardNode(const Pass& pass, size_t image, const float* x, float* y, Worker* worker, Node* node) const {
    const LayerSpec& spec = node->spec;
    const size_t values = spec.out.size();
    switch (spec.kind) {
      case LayerKind::kConv2D:
        node->conv->Forward(pass, x, y, *worker);
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

  void BackwardImage(const Pass& pass, size_t image, size_t slot, const float* x, float* dx, float* partial,
                     Worker* worker) {
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
      if (node.conv) {
        float* gradient = partial + node.partial_offset;
        node.conv->KernelGradient(pass, in, dy, slot, gradient, *worker);
        pass.kernels.add_rows(dy, spec.out.h * spec.out.w, spec.out.c, gradient + spec.kernel_size);
      }
      if (to != nullptr) InputGradient(pass, node, image, dy, to, *worker);
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

  void FinishGroup(const Pass& pass, size_t images, float* partial, const Worker& worker) const {
    for (const Node& node : nodes_) {
      if (node.conv) node.conv->FinishKernelGradient(pass, images, partial + node.partial_offset, worker);
    }
  }

  // dy is of the layer's values before its activation.
  static void InputGradient(const Pass& pass, const Node& node, size_t image, const float* dy, float* dx,
                            const Worker& worker) {
    const LayerSpec& spec = node.spec;
    const size_t values = spec.out.size();
    switch (spec.kind) {
      case LayerKind::kConv2D:
        return node.conv->InputGradient(pass, dy, dx, worker);
      case LayerKind::kMaxPool2D:
        return pass.kernels.max_pool_backward(ToPoolArgs(spec), dy, node.index.data() + image * values, dx);
      case LayerKind::kAvgPool2D:
        return pass.kernels.avg_pool_backward(ToPoolArgs(spec), dy, dx);
      case LayerKind::kDropout:
        std::memcpy(dx, dy, values * sizeof(float));
        return Mask(node.kept.data() + image * values, spec.rate, dx, values);
      default:
        std::memcpy(dx, dy, values * sizeof(float));
    }
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
  Floats dy_;
  Floats partials_;  // [chunks, partial_size_]
  Floats joined_;    // [partial_size_], for the optimiser
  size_t partial_size_ = 0;
};

}  // namespace

size_t DropoutBlocks(const LayerSpec& layer) {
  return layer.kind == LayerKind::kDropout ? (layer.out.size() + 3) / 4 : 0;
}

std::unique_ptr<Segment> MakeLocalSegment(std::vector<LayerSpec> layers, bool is_last, const SegmentOptions& options,
                                          size_t dropout_block_begin, size_t dropout_blocks_per_example) {
  return std::make_unique<LocalSegment>(std::move(layers), is_last, options, dropout_block_begin,
                                        dropout_blocks_per_example);
}

}  // namespace tributary::nn
