// The arithmetic under the network: one table of functions per instruction set, all with the meaning that the *_ref.h
// files beside this one define. No intrinsics here. Pointers are raw, may be unaligned, and must not overlap unless
// said; sizes may be 0; nothing past the given sizes is read or written.
//
// Bits: each function's result is a function of its arguments and the instruction set alone. Cutting an elementwise
// call in two at any place gives the same bits; cutting a sum does not. Threads: the functions are pure; callers cut
// the work and give each thread its own scratch.
#ifndef TRIBUTARY_COMMON_NN_KERNELS_KERNELS_H_
#define TRIBUTARY_COMMON_NN_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>

namespace tributary::nn {

// Walks memory in two nested steps: element i is at (i / inner) * outer_stride + (i % inner) * inner_stride. A matrix's
// rows need one step only; a convolution's patches need two, which is how it becomes a product without a copied patch.
struct Axis {
  size_t inner = 1, inner_stride = 1;
  size_t outer = 1, outer_stride = 0;
  size_t size() const { return inner * outer; }
};

// C[i, j] = (start) + sum over k of A[i, k] * B[k, j], in the order of k, by fused multiply-adds where the set has
// them. A[i, k] is a[rows(i) + depth(k)]; B and C are row-major.
struct GemmArgs {
  const float* a = nullptr;
  Axis rows, depth;
  const float* b = nullptr;
  size_t ldb = 0;
  size_t n = 0;  // columns
  float* c = nullptr;
  size_t ldc = 0;
  bool accumulate = false;      // start from C, else from `bias` (n values) or 0
  const float* bias = nullptr;  // ignored when accumulating
  bool relu = false;            // C = C < 0 ? 0 : C at the end
};

// One image through one pool, channels-last.
struct PoolArgs {
  size_t in_h = 0, in_w = 0, out_h = 0, out_w = 0, channels = 0;
  size_t window_h = 1, window_w = 1, stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0;
};

struct AdamArgs {
  float step_size;  // lr * sqrt(1 - b2^t) / (1 - b1^t)
  float decay;      // lr * weight_decay, or 0
};

struct Kernels {
  const char* isa;  // "avx512", ...
  // Floats of scratch that gemm needs.
  size_t gemm_scratch;
  // Columns that gemm works on at once: cut n at its multiples.
  size_t gemm_panel;
  void (*gemm)(const GemmArgs& args, float* scratch);
  // dst[c * ldd + r] = src[r * lds + c]
  void (*transpose)(const float* src, size_t rows, size_t cols, size_t lds, float* dst, size_t ldd);

  // y = f(y).
  void (*relu)(float* y, size_t n);
  void (*sigmoid)(float* y, size_t n);
  void (*tanh)(float* y, size_t n);
  // dy = dy * f'(x), told by y = f(x).
  void (*relu_backward)(const float* y, float* dy, size_t n);
  void (*sigmoid_backward)(const float* y, float* dy, size_t n);
  void (*tanh_backward)(const float* y, float* dy, size_t n);
  // Rows of n logits to probabilities; log_sum[i] = log(sum(exp(x_i))). y may be x.
  void (*softmax)(const float* x, size_t rows, size_t n, float* y, float* log_sum);
  // Binary cross-entropy on logits: p = sigmoid(z), loss = max(z, 0) - z * target + log(1 + exp(-|z|)).
  void (*binary_loss)(const float* z, const float* target, size_t n, float* p, float* loss);

  // index gets the place in its window (row by row) of each maximum; may be null.
  void (*max_pool)(const PoolArgs& args, const float* x, float* y, uint16_t* index);
  // dx is overwritten.
  void (*max_pool_backward)(const PoolArgs& args, const float* dy, const uint16_t* index, float* dx);
  void (*avg_pool)(const PoolArgs& args, const float* x, float* y);
  void (*avg_pool_backward)(const PoolArgs& args, const float* dy, float* dx);

  // dst += src.
  void (*add)(const float* src, size_t n, float* dst);
  // sums[j] += sum over rows of x[i, j], in the order of i. x is dense, rows x n.
  void (*add_rows)(const float* x, size_t rows, size_t n, float* sums);
  // x *= factor.
  void (*scale)(float factor, float* x, size_t n);
  // Sum of squares in double.
  double (*sum_squares)(const float* x, size_t n);

  // One optimiser step each (common/nn/optimizer.h); `decay` = lr * weight_decay or 0.
  void (*sgd)(float lr, float decay, const float* g, float* w, size_t n);
  void (*momentum)(float lr, float decay, const float* g, float* v, float* w, size_t n);
  void (*adam)(const AdamArgs& args, const float* g, float* m, float* v, float* w, size_t n);
};

// The table that TRIBUTARY_ISA or this CPU chooses; `isa` names another one (null: the chosen one). Null when this CPU
// does not have it.
const Kernels* FindKernels(const char* isa = nullptr);
// All tables that this CPU can run, best first. `count` gets their number.
const Kernels* const* SupportedKernels(size_t* count);

}  // namespace tributary::nn

#endif  // TRIBUTARY_COMMON_NN_KERNELS_KERNELS_H_
