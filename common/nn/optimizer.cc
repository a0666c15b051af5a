#include "common/nn/optimizer.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/nn/kernels/kernels.h"
#include "common/nn/kernels/parallel.h"

namespace tributary::nn {
namespace {

constexpr size_t kPiece = 16384;

absl::Status Validate(const Optimizer::Options& options) {
  if (!(options.weight_decay >= 0) || !std::isfinite(options.weight_decay)) {
    return absl::InvalidArgumentError("weight_decay must be at least 0 and finite");
  }
  if (!(options.clip_norm >= 0) || !std::isfinite(options.clip_norm)) {
    return absl::InvalidArgumentError("clip_norm must be at least 0 and finite");
  }
  if (options.threads < 1) return absl::InvalidArgumentError("threads must be at least 1");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> Optimizer::Create(const ModelDescription& model, const Options& options) {
  TRB_RETURN_IF_ERROR(Validate(options));
  const Kernels* kernels = FindKernels(options.isa);
  if (kernels == nullptr) return absl::InvalidArgumentError(absl::StrCat("this CPU has no ", options.isa));
  try {
    return std::unique_ptr<Optimizer>(new Optimizer(model, options, *kernels));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory for the optimiser's state");
  }
}

Optimizer::Optimizer(const ModelDescription& model, const Options& options, const Kernels& kernels)
    : options_(options), kernels_(kernels) {
  const auto cut = [&](size_t begin, size_t size, bool decay) {
    for (size_t at = begin; at < begin + size; at += kPiece) {
      pieces_.push_back({at, std::min(at + kPiece, begin + size), decay});
    }
  };
  for (const LayerSpec& layer : model.layers()) {
    cut(layer.kernel_offset, layer.kernel_size, true);
    cut(layer.kernel_offset + layer.kernel_size, layer.bias_size, false);
  }
  sums_.resize(pieces_.size());
  if (options.kind != OptimizerKind::kSgd) m_.resize(model.parameter_count());
  if (options.kind == OptimizerKind::kAdam) v_.resize(model.parameter_count());
}

void Optimizer::Step(std::span<float> parameters, std::span<float> gradients, float learning_rate) {
  if (clips()) ClipGradients(gradients);
  BeginStep(learning_rate);
  ParallelFor(options_.threads, pieces_.size(), [&](size_t task, size_t) {
    const auto [begin, end, decay] = pieces_[task];
    Update(begin, end - begin, decay, gradients.data() + begin, parameters.data() + begin);
  });
}

void Optimizer::BeginStep(float learning_rate) {
  ++t_;
  const double t = static_cast<double>(t_);
  const double bias = std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
  learning_rate_ = learning_rate;
  adam_step_ = static_cast<float>(static_cast<double>(learning_rate) * bias);
}

void Optimizer::Update(size_t begin, size_t n, bool decay, const float* g, float* w) {
  const float decayed = decay ? learning_rate_ * options_.weight_decay : 0.0f;
  switch (options_.kind) {
    case OptimizerKind::kSgd:
      return kernels_.sgd(learning_rate_, decayed, g, w, n);
    case OptimizerKind::kMomentum:
      return kernels_.momentum(learning_rate_, decayed, g, m_.data() + begin, w, n);
    case OptimizerKind::kAdam:
      return kernels_.adam({adam_step_, decayed}, g, m_.data() + begin, v_.data() + begin, w, n);
  }
}

void Optimizer::ClipGradients(std::span<float> gradients) {
  ParallelFor(options_.threads, pieces_.size(), [&](size_t task, size_t) {
    const Piece& piece = pieces_[task];
    sums_[task] = kernels_.sum_squares(gradients.data() + piece.begin, piece.end - piece.begin);
  });
  double sum = 0;
  for (const double part : sums_) sum += part;
  const double norm = std::sqrt(sum);
  // A NaN norm is not above anything: the gradients stay as they are, NaN and all.
  if (!(norm > static_cast<double>(options_.clip_norm)) || std::isinf(norm)) return;
  const float factor = static_cast<float>(static_cast<double>(options_.clip_norm) / norm);
  ParallelFor(options_.threads, pieces_.size(), [&](size_t task, size_t) {
    const Piece& piece = pieces_[task];
    kernels_.scale(factor, gradients.data() + piece.begin, piece.end - piece.begin);
  });
}

}  // namespace tributary::nn
