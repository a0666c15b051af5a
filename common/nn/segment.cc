#include "common/nn/segment.h"

#include <algorithm>

#include "common/base/status.h"

namespace tributary::nn {

void ScratchNeeds::Cover(const ScratchNeeds& other) {
  gemm = std::max(gemm, other.gemm);
  padded = std::max(padded, other.padded);
  expanded = std::max(expanded, other.expanded);
  tile = std::max(tile, other.tile);
  gradient = std::max(gradient, other.gradient);
  halves = std::max(halves, other.halves);
  rows = std::max(rows, other.rows);
  kept = std::max(kept, other.kept);
}

void ApplyActivation(const Kernels& kernels, Activation activation, float* y, size_t n) {
  switch (activation) {
    case Activation::kNone:
      return;
    case Activation::kRelu:
      return kernels.relu(y, n);
    case Activation::kSigmoid:
      return kernels.sigmoid(y, n);
    case Activation::kTanh:
      return kernels.tanh(y, n);
    case Activation::kSoftmax:
      TRB_CHECK(false);
  }
}

void ActivationBackward(const Kernels& kernels, Activation activation, const float* y, float* dy, size_t n) {
  switch (activation) {
    case Activation::kNone:
      return;
    case Activation::kRelu:
      return kernels.relu_backward(y, dy, n);
    case Activation::kSigmoid:
      return kernels.sigmoid_backward(y, dy, n);
    case Activation::kTanh:
      return kernels.tanh_backward(y, dy, n);
    case Activation::kSoftmax:
      TRB_CHECK(false);
  }
}

}  // namespace tributary::nn
