// The end of a network: the last activation, the loss and the gradient that starts the backward pass. Inside common/nn
// only. Cross-entropies are taken on the values before the activation, so that a sure and wrong answer costs much, not
// infinity.
#ifndef TRIBUTARY_COMMON_NN_HEAD_H_
#define TRIBUTARY_COMMON_NN_HEAD_H_

#include <cstddef>

#include "common/nn/kernels/kernels.h"
#include "common/nn/model_description.h"
#include "common/nn/network.h"
#include "common/nn/segment.h"

namespace tributary::nn {

class Head {
 public:
  Head(const ModelDescription& model, size_t max_batch);

  // Logits [n, out] to outputs(); both live until the next call.
  void Activate(const Kernels& kernels, size_t n, const float* logits);
  // Activate, and the losses against the batch's labels or targets.
  BatchResult Loss(const Kernels& kernels, const Batch& batch, const float* logits);
  // After Loss on the same batch: d(mean loss over batch_examples) / d(logits).
  void Gradient(const Batch& batch, size_t batch_examples, float* d_logits) const;
  const float* outputs() const { return outputs_.data(); }

 private:
  BatchResult CrossEntropy(const Batch& batch, const float* logits) const;
  BatchResult BinaryCrossEntropy(const Batch& batch) const;
  BatchResult SquaredError(const Batch& batch) const;
  void SquaredErrorGradient(const Batch& batch, size_t batch_examples, float* d_logits) const;

  const nn::Loss loss_;
  const Activation activation_;
  const size_t values_;  // in one example's output
  Floats outputs_;
  Floats log_sums_;                   // softmax: one an example
  Floats bits_, losses_;              // binary: label as a float, loss; one an example
  const Kernels* kernels_ = nullptr;  // of the last Activate
};

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_HEAD_H_
