#include "common/nn/network.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <stdexcept>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/memory_limit.h"
#include "common/nn/engine.h"
#include "common/nn/head.h"
#include "common/nn/kernels/parallel.h"
#include "common/nn/segment.h"

namespace tributary::nn {
namespace {

bool IsLocal(const LayerSpec& layer, bool training) {
  if (layer.kind == LayerKind::kDense || layer.kind == LayerKind::kFlatten) return false;
  return training || layer.kind != LayerKind::kDropout;
}

size_t TotalDropoutBlocks(const ModelDescription& model) {
  size_t blocks = 0;
  for (const LayerSpec& layer : model.layers()) blocks += DropoutBlocks(layer);
  return blocks;
}

// The kernels that options ask for.
struct ChosenKernels {
  const Kernels* float32 = nullptr;
  const Bf16Kernels* bf16 = nullptr;  // null: float32 alone
};

absl::StatusOr<ChosenKernels> Choose(const Network::Options& options) {
  if (options.max_batch < 1) return absl::InvalidArgumentError("max_batch must be at least 1");
  if (options.threads < 1) return absl::InvalidArgumentError("threads must be at least 1");
  const bool wants_bf16 = options.precision == Precision::kBf16;
  const ChosenKernels chosen = {FindKernels(wants_bf16 ? nullptr : options.isa),
                                wants_bf16 ? FindBf16Kernels(options.isa) : nullptr};
  if (chosen.float32 != nullptr && (!wants_bf16 || chosen.bf16 != nullptr)) return chosen;
  if (options.isa == nullptr) return NoBf16();
  return absl::InvalidArgumentError(absl::StrCat("this CPU has no ", options.isa));
}

// Cuts the layers into segments. A flatten moves nothing, dropout without training neither: both vanish.
std::vector<std::unique_ptr<Segment>> MakeSegments(const ModelDescription& model, const SegmentOptions& options) {
  std::vector<std::unique_ptr<Segment>> segments;
  std::vector<LayerSpec> local;
  const size_t all_blocks = TotalDropoutBlocks(model);
  size_t blocks = 0;
  const auto close_local = [&](bool is_last) {
    if (local.empty()) return;
    size_t used = 0;
    for (const LayerSpec& layer : local) used += DropoutBlocks(layer);
    segments.push_back(MakeLocalSegment(std::move(local), is_last, options, blocks, all_blocks));
    local.clear();
    blocks += used;
  };
  for (const LayerSpec& layer : model.layers()) {
    const bool is_last = &layer == &model.layers().back();
    if (IsLocal(layer, options.training)) {
      local.push_back(layer);
      if (is_last) close_local(true);
      continue;
    }
    if (layer.kind == LayerKind::kDense || is_last) close_local(false);
    if (layer.kind != LayerKind::kDense) continue;
    segments.push_back(options.bf16 == nullptr ? MakeFloat32DenseSegment(layer, is_last, options)
                                               : MakeBf16DenseSegment(layer, is_last, options));
  }
  return segments;
}

}  // namespace

struct Network::Impl {
  Impl(const ModelDescription& description, const Options& opts, const ChosenKernels& chosen)
      : model(description),
        options(opts),
        kernels(*chosen.float32),
        parameters(model.parameter_count()),
        gradients(opts.training && opts.gradients ? model.parameter_count() : 0),
        segments(MakeSegments(model, {opts.max_batch, opts.training, chosen.bf16})),
        head(model, opts.max_batch),
        inputs(segments.size()) {
    ScratchNeeds needs;
    for (const auto& segment : segments) needs.Cover(segment->scratch(kernels));
    workers.reserve(static_cast<size_t>(opts.threads));
    for (int i = 0; i < opts.threads; ++i) workers.emplace_back(needs);
  }

  Pass MakePass(size_t n, bool training, const StepInfo& info) {
    return {.kernels = kernels,
            .threads = options.threads,
            .workers = workers,
            .n = n,
            .training = training,
            .info = info,
            .dropout = dropout,
            .parameters = parameters.data(),
            .gradients = gradients.data(),
            .overwrite = gradients_are_zero,
            .optimizer = nullptr};
  }

  // To the last layer's values before its activation.
  const float* Forward(const Pass& pass, const float* x) {
    for (size_t i = 0; i < segments.size(); ++i) {
      inputs[i] = x;
      x = segments[i]->Forward(pass, x);
    }
    return x;
  }

  void Backward(const Pass& pass, const Batch& part) {
    if (!segments.empty()) head.Gradient(part, pass.info.batch_examples, segments.back()->gradient());
    for (size_t i = segments.size(); i-- > 0;) {
      segments[i]->Backward(pass, inputs[i], i == 0 ? nullptr : segments[i - 1]->gradient());
    }
  }

  BatchResult TrainPart(const Batch& part, const StepInfo& info) {
    const Pass pass = MakePass(part.n, true, info);
    const BatchResult result = head.Loss(kernels, part, Forward(pass, part.x));
    Backward(pass, part);
    gradients_are_zero = false;
    return result;
  }

  BatchResult TrainStep(const Batch& batch, const StepInfo& info, float learning_rate, Optimizer* optimizer) {
    Pass pass = MakePass(batch.n, true, info);
    const BatchResult result = head.Loss(kernels, batch, Forward(pass, batch.x));
    if (!std::isfinite(result.loss_sum)) return result;
    optimizer->BeginStep(learning_rate);
    pass.gradients = nullptr;
    pass.optimizer = optimizer;
    Backward(pass, batch);
    return result;
  }

  // Calls fn(part, first) for parts of at most max_batch examples, in order.
  template <class Fn>
  void ForParts(const Batch& batch, const Fn& fn) {
    const size_t in = model.input().size(), out = model.output().size();
    for (size_t first = 0; first < batch.n; first += options.max_batch) {
      Batch part;
      part.n = std::min(options.max_batch, batch.n - first);
      part.x = batch.x + first * in;
      if (batch.labels != nullptr) part.labels = batch.labels + first;
      if (batch.targets != nullptr) part.targets = batch.targets + first * out;
      fn(part, first);
    }
  }

  const ModelDescription model;
  const Options options;
  const Kernels& kernels;
  Floats parameters, gradients;
  std::vector<std::unique_ptr<Segment>> segments;
  Head head;
  std::vector<const float*> inputs;  // of each segment, in the last Forward
  std::vector<Worker> workers;
  Rng dropout{uint64_t{0}};
  bool gradients_are_zero = true;  // whatever the array holds
};

absl::StatusOr<double> Network::NeededBytes(const ModelDescription& model, const Options& options) {
  TRB_ASSIGN_OR_RETURN(const ChosenKernels kernels, Choose(options));
  const MemoryMeter meter;
  const Impl impl(model, options, kernels);
  return meter.bytes();
}

absl::StatusOr<std::unique_ptr<Network>> Network::Create(const ModelDescription& model, const Options& options) {
  TRB_ASSIGN_OR_RETURN(const ChosenKernels kernels, Choose(options));
  // The system hands out more than it has, and kills who uses it: ask before.
  TRB_ASSIGN_OR_RETURN(const double needed, NeededBytes(model, options));
  if (needed <= static_cast<double>(MemoryLimitBytes())) {
    try {
      return std::unique_ptr<Network>(new Network(std::make_unique<Impl>(model, options, kernels)));
    } catch (const std::bad_alloc&) {
    } catch (const std::length_error&) {
    }
  }
  return absl::ResourceExhaustedError(absl::StrCat("no memory for a model of ", model.parameter_count(),
                                                   " parameters at a batch of ", options.max_batch, ": it takes ",
                                                   std::ceil(needed / 1e6), " MB"));
}

Network::Network(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Network::~Network() = default;

const ModelDescription& Network::model() const { return impl_->model; }
std::span<float> Network::parameters() { return {impl_->parameters.data(), impl_->parameters.size()}; }
std::span<const float> Network::parameters() const { return {impl_->parameters.data(), impl_->parameters.size()}; }

void Network::InitializeGlorot(const Seed& seed) {
  Rng rng(seed);
  float* p = impl_->parameters.data();
  for (const LayerSpec& layer : impl_->model.layers()) {
    if (layer.kernel_size == 0) continue;
    const size_t taps = layer.kind == LayerKind::kConv2D ? layer.window_h * layer.window_w : 1;
    const size_t fan_in = layer.kernel_size / layer.out.c, fan_out = taps * layer.out.c;
    const float limit = static_cast<float>(std::sqrt(6.0 / static_cast<double>(fan_in + fan_out)));
    float* kernel = p + layer.kernel_offset;
    for (size_t i = 0; i < layer.kernel_size; ++i) kernel[i] = (2.0f * rng.UniformFloat() - 1.0f) * limit;
    std::memset(kernel + layer.kernel_size, 0, layer.bias_size * sizeof(float));
  }
}

void Network::SetDropoutSeed(const Seed& seed) { impl_->dropout = Rng(seed); }

BatchResult Network::TrainStep(const Batch& batch, const StepInfo& info, float learning_rate, Optimizer* optimizer) {
  TRB_CHECK(impl_->options.training && batch.n <= impl_->options.max_batch && !optimizer->clips());
  const FlushDenormals flush;
  StepInfo whole = info;
  if (whole.batch_examples == 0) whole.batch_examples = batch.n;
  return impl_->TrainStep(batch, whole, learning_rate, optimizer);
}

BatchResult Network::TrainBatch(const Batch& batch, const StepInfo& info) {
  TRB_CHECK(impl_->options.training && impl_->options.gradients);
  const FlushDenormals flush;
  BatchResult sum;
  impl_->ForParts(batch, [&](const Batch& part, size_t first) {
    StepInfo part_info = info;
    if (part_info.batch_examples == 0) part_info.batch_examples = batch.n;
    part_info.first_example += first;
    const BatchResult result = impl_->TrainPart(part, part_info);
    sum.loss_sum += result.loss_sum;
    sum.correct += result.correct;
  });
  return sum;
}

std::span<float> Network::gradients() {
  TRB_CHECK(impl_->options.training && impl_->options.gradients);
  if (impl_->gradients_are_zero) {
    std::fill_n(impl_->gradients.data(), impl_->gradients.size(), 0.0f);
    impl_->gradients_are_zero = false;
  }
  return {impl_->gradients.data(), impl_->gradients.size()};
}

void Network::ZeroGradients() { impl_->gradients_are_zero = true; }

BatchResult Network::EvaluateBatch(const Batch& batch, float* probabilities) {
  const FlushDenormals flush;
  BatchResult sum;
  impl_->ForParts(batch, [&](const Batch& part, size_t first) {
    const Pass pass = impl_->MakePass(part.n, false, {});
    const BatchResult result = impl_->head.Loss(impl_->kernels, part, impl_->Forward(pass, part.x));
    sum.loss_sum += result.loss_sum;
    sum.correct += result.correct;
    const size_t out = impl_->model.output().size();
    if (probabilities != nullptr) {
      std::memcpy(probabilities + first * out, impl_->head.outputs(), part.n * out * sizeof(float));
    }
  });
  return sum;
}

void Network::Predict(const float* x, size_t n, float* out) {
  const FlushDenormals flush;
  Batch batch;
  batch.x = x;
  batch.n = n;
  impl_->ForParts(batch, [&](const Batch& part, size_t first) {
    const Pass pass = impl_->MakePass(part.n, false, {});
    impl_->head.Activate(impl_->kernels, part.n, impl_->Forward(pass, part.x));
    const size_t values = impl_->model.output().size();
    std::memcpy(out + first * values, impl_->head.outputs(), part.n * values * sizeof(float));
  });
}

}  // namespace tributary::nn
