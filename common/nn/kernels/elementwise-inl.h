// Activations, losses, sums and optimiser steps of kernels.h, per instruction set. Included once per Highway target,
// only by kernels_simd.cc. A tail shorter than a vector goes through a padded copy and the same vector code, so that a
// value's bits do not depend on where in the array it stands.
#if defined(TRIBUTARY_NN_ELEMENTWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TRIBUTARY_NN_ELEMENTWISE_INL_H_
#undef TRIBUTARY_NN_ELEMENTWISE_INL_H_
#else
#define TRIBUTARY_NN_ELEMENTWISE_INL_H_
#endif

#include <cstddef>

#include "common/nn/kernels/kernels.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tributary::nn {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr size_t kLane = HWY_LANES(float);

HWY_INLINE V LoadPart(const float* from, size_t count, float pad) {
  HWY_ALIGN float padded[kLane];
  for (size_t i = 0; i < kLane; ++i) padded[i] = i < count ? from[i] : pad;
  return hn::Load(D(), padded);
}

HWY_INLINE void StorePart(V v, size_t count, float* to) {
  HWY_ALIGN float padded[kLane];
  hn::Store(v, D(), padded);
  for (size_t i = 0; i < count; ++i) to[i] = padded[i];
}

// Highway's exp and log are for finite values in range only; these take everything: exp(-inf) = 0, NaN stays NaN.
HWY_INLINE V ExpAny(V x) {
  const V result = hn::Exp(D(), hn::Min(x, hn::Set(D(), 104.0f)));
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}
HWY_INLINE V LogAny(V x) {  // x >= 0
  return hn::IfThenElse(hn::IsFinite(x), hn::Log(D(), x), x);
}
HWY_INLINE V SigmoidOf(V x) {
  // exp of a negative number on both sides: no overflow.
  const V one = hn::Set(D(), 1.0f);
  const V e = ExpAny(hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(D())), e, one), hn::Add(one, e));
}

struct ReluOp {
  HWY_INLINE V operator()(V x) const { return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(D())), x); }
};
struct SigmoidOp {
  HWY_INLINE V operator()(V x) const { return SigmoidOf(x); }
};
struct TanhOp {
  HWY_INLINE V operator()(V x) const {
    // Beyond 20 tanh is 1 in float32; the clamp keeps Highway's exp in range.
    const V limit = hn::Set(D(), 20.0f);
    const V t = hn::Tanh(D(), hn::Max(hn::Min(x, limit), hn::Neg(limit)));
    return hn::IfThenElse(hn::IsNaN(x), x, t);
  }
};
struct ScaleOp {
  V factor;
  HWY_INLINE V operator()(V x) const { return hn::Mul(x, factor); }
};

template <class Op>
HWY_INLINE void Map(const Op& op, float* y, size_t n) {
  size_t i = 0;
  for (; i + kLane <= n; i += kLane) hn::StoreU(op(hn::LoadU(D(), y + i)), D(), y + i);
  if (i < n) StorePart(op(LoadPart(y + i, n - i, 0.0f)), n - i, y + i);
}

void Relu(float* y, size_t n) { Map(ReluOp(), y, n); }
void Sigmoid(float* y, size_t n) { Map(SigmoidOp(), y, n); }
void Tanh(float* y, size_t n) { Map(TanhOp(), y, n); }
void Scale(float factor, float* x, size_t n) { Map(ScaleOp{hn::Set(D(), factor)}, x, n); }

// (y, dy) -> dy
struct ReluBackwardOp {
  HWY_INLINE V operator()(V y, V dy) const { return hn::IfThenZeroElse(hn::Le(y, hn::Zero(D())), dy); }
};
struct SigmoidBackwardOp {
  HWY_INLINE V operator()(V y, V dy) const { return hn::Mul(dy, hn::Mul(y, hn::Sub(hn::Set(D(), 1.0f), y))); }
};
struct TanhBackwardOp {
  HWY_INLINE V operator()(V y, V dy) const { return hn::Mul(dy, hn::NegMulAdd(y, y, hn::Set(D(), 1.0f))); }
};
struct AddOp {
  HWY_INLINE V operator()(V src, V dst) const { return hn::Add(dst, src); }
};

template <class Op>
HWY_INLINE void Map2(const Op& op, const float* x, float* y, size_t n) {
  size_t i = 0;
  for (; i + kLane <= n; i += kLane) hn::StoreU(op(hn::LoadU(D(), x + i), hn::LoadU(D(), y + i)), D(), y + i);
  if (i < n) StorePart(op(LoadPart(x + i, n - i, 0.0f), LoadPart(y + i, n - i, 0.0f)), n - i, y + i);
}

void ReluBackward(const float* y, float* dy, size_t n) { Map2(ReluBackwardOp(), y, dy, n); }
void SigmoidBackward(const float* y, float* dy, size_t n) { Map2(SigmoidBackwardOp(), y, dy, n); }
void TanhBackward(const float* y, float* dy, size_t n) { Map2(TanhBackwardOp(), y, dy, n); }
void AddTo(const float* src, size_t n, float* dst) { Map2(AddOp(), src, dst, n); }

void Softmax(const float* x, size_t rows, size_t n, float* y, float* log_sum) {
  const float lowest = -hwy::HighestValue<float>();
  for (size_t row = 0; row < rows; ++row, x += n, y += n) {
    // A NaN may or may not be lost here; it comes back through its own exp below.
    V highest = hn::Set(D(), lowest);
    size_t i = 0;
    for (; i + kLane <= n; i += kLane) highest = hn::Max(highest, hn::LoadU(D(), x + i));
    if (i < n) highest = hn::Max(highest, LoadPart(x + i, n - i, lowest));
    const V shift = hn::MaxOfLanes(D(), highest);
    V sums = hn::Zero(D());
    for (i = 0; i + kLane <= n; i += kLane) {
      const V e = ExpAny(hn::Sub(hn::LoadU(D(), x + i), shift));
      sums = hn::Add(sums, e);
      hn::StoreU(e, D(), y + i);
    }
    if (i < n) {
      const V e = ExpAny(hn::Sub(LoadPart(x + i, n - i, 0.0f), shift));
      StorePart(e, n - i, y + i);
      sums = hn::Add(sums, LoadPart(y + i, n - i, 0.0f));
    }
    const V sum = hn::SumOfLanes(D(), sums);
    const V scale = hn::Div(hn::Set(D(), 1.0f), sum);
    Map(ScaleOp{scale}, y, n);
    log_sum[row] = hn::GetLane(hn::Add(LogAny(sum), shift));
  }
}

HWY_INLINE void BinaryLossPart(V z, V target, V* p, V* loss) {
  const V zero = hn::Zero(D());
  *p = SigmoidOf(z);
  const V tail = hn::Log1p(D(), ExpAny(hn::Neg(hn::Abs(z))));
  const V hinge = hn::IfThenZeroElse(hn::Lt(z, zero), z);
  const V value = hn::Add(hn::NegMulAdd(z, target, hinge), tail);
  *loss = hn::IfThenElse(hn::IsNaN(z), z, value);
}

void BinaryLoss(const float* z, const float* target, size_t n, float* p, float* loss) {
  V pv, lv;
  size_t i = 0;
  for (; i + kLane <= n; i += kLane) {
    BinaryLossPart(hn::LoadU(D(), z + i), hn::LoadU(D(), target + i), &pv, &lv);
    hn::StoreU(pv, D(), p + i);
    hn::StoreU(lv, D(), loss + i);
  }
  if (i == n) return;
  BinaryLossPart(LoadPart(z + i, n - i, 0.0f), LoadPart(target + i, n - i, 0.0f), &pv, &lv);
  StorePart(pv, n - i, p + i);
  StorePart(lv, n - i, loss + i);
}

// One column of vectors, rows dealt to four sums: one alone would wait for its own latency.
HWY_INLINE V SumColumn(const float* x, size_t rows, size_t n, size_t count) {
  V sum[4] = {hn::Zero(D()), hn::Zero(D()), hn::Zero(D()), hn::Zero(D())};
  size_t i = 0;
  if (count == kLane) {
    for (; i + 4 <= rows; i += 4, x += 4 * n) {
      for (size_t k = 0; k < 4; ++k) sum[k] = hn::Add(sum[k], hn::LoadU(D(), x + k * n));
    }
  }
  for (; i < rows; ++i, x += n) sum[i % 4] = hn::Add(sum[i % 4], LoadPart(x, count, 0.0f));
  return hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3]));
}

void AddRows(const float* x, size_t rows, size_t n, float* sums) {
  for (size_t j = 0; j < n; j += kLane) {
    const size_t count = HWY_MIN(kLane, n - j);
    const V column = SumColumn(x + j, rows, n, count);
    StorePart(hn::Add(LoadPart(sums + j, count, 0.0f), column), count, sums + j);
  }
}

double SumSquares(const float* x, size_t n) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> df;
  const size_t lanes = hn::Lanes(dd);
  auto even = hn::Zero(dd), odd = hn::Zero(dd);
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const auto a = hn::PromoteTo(dd, hn::LoadU(df, x + i));
    const auto b = hn::PromoteTo(dd, hn::LoadU(df, x + i + lanes));
    even = hn::MulAdd(a, a, even);
    odd = hn::MulAdd(b, b, odd);
  }
  double sum = hn::GetLane(hn::SumOfLanes(dd, hn::Add(even, odd)));
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

// (g, state..., w) -> state, w. `decay` is lr * weight_decay.
HWY_INLINE V Decayed(V w, float decay) { return hn::NegMulAdd(hn::Set(D(), decay), w, w); }

HWY_INLINE V SgdPart(float lr, float decay, V g, V w) { return hn::NegMulAdd(hn::Set(D(), lr), g, Decayed(w, decay)); }

void Sgd(float lr, float decay, const float* g, float* w, size_t n) {
  size_t i = 0;
  for (; i + kLane <= n; i += kLane) {
    hn::StoreU(SgdPart(lr, decay, hn::LoadU(D(), g + i), hn::LoadU(D(), w + i)), D(), w + i);
  }
  if (i == n) return;
  StorePart(SgdPart(lr, decay, LoadPart(g + i, n - i, 0.0f), LoadPart(w + i, n - i, 0.0f)), n - i, w + i);
}

HWY_INLINE void MomentumPart(float lr, float decay, V g, V* v, V* w) {
  *v = hn::MulSub(hn::Set(D(), 0.9f), *v, hn::Mul(hn::Set(D(), lr), g));
  *w = hn::Add(Decayed(*w, decay), *v);
}

void Momentum(float lr, float decay, const float* g, float* v, float* w, size_t n) {
  size_t i = 0;
  for (; i + kLane <= n; i += kLane) {
    V vv = hn::LoadU(D(), v + i), wv = hn::LoadU(D(), w + i);
    MomentumPart(lr, decay, hn::LoadU(D(), g + i), &vv, &wv);
    hn::StoreU(vv, D(), v + i);
    hn::StoreU(wv, D(), w + i);
  }
  if (i == n) return;
  V vv = LoadPart(v + i, n - i, 0.0f), wv = LoadPart(w + i, n - i, 0.0f);
  MomentumPart(lr, decay, LoadPart(g + i, n - i, 0.0f), &vv, &wv);
  StorePart(vv, n - i, v + i);
  StorePart(wv, n - i, w + i);
}

HWY_INLINE void AdamPart(const AdamArgs& args, V g, V* m, V* v, V* w) {
  // As Keras: m += (g - m) (1 - b1), v += (g^2 - v) (1 - b2).
  *m = hn::MulAdd(hn::Sub(g, *m), hn::Set(D(), 0.1f), *m);
  *v = hn::MulAdd(hn::MulSub(g, g, *v), hn::Set(D(), 0.001f), *v);
  const V divisor = hn::Add(hn::Sqrt(*v), hn::Set(D(), 1e-7f));
  *w = hn::NegMulAdd(hn::Set(D(), args.step_size), hn::Div(*m, divisor), Decayed(*w, args.decay));
}

void Adam(const AdamArgs& args, const float* g, float* m, float* v, float* w, size_t n) {
  size_t i = 0;
  for (; i + kLane <= n; i += kLane) {
    V mv = hn::LoadU(D(), m + i), vv = hn::LoadU(D(), v + i), wv = hn::LoadU(D(), w + i);
    AdamPart(args, hn::LoadU(D(), g + i), &mv, &vv, &wv);
    hn::StoreU(mv, D(), m + i);
    hn::StoreU(vv, D(), v + i);
    hn::StoreU(wv, D(), w + i);
  }
  if (i == n) return;
  const size_t rest = n - i;
  V mv = LoadPart(m + i, rest, 0.0f), vv = LoadPart(v + i, rest, 0.0f), wv = LoadPart(w + i, rest, 0.0f);
  AdamPart(args, LoadPart(g + i, rest, 0.0f), &mv, &vv, &wv);
  StorePart(mv, rest, m + i);
  StorePart(vv, rest, v + i);
  StorePart(wv, rest, w + i);
}

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace tributary::nn
HWY_AFTER_NAMESPACE();

#endif  // TRIBUTARY_NN_ELEMENTWISE_INL_H_
