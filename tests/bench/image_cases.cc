// Pools, activations, softmax and losses, called straight from the table on the sizes that the presets give them.
#include <algorithm>
#include <memory>
#include <vector>

#include "common/nn/kernels/activation_ref.h"
#include "common/nn/kernels/kernels.h"
#include "common/nn/kernels/loss_ref.h"
#include "common/nn/kernels/pool_ref.h"
#include "tests/bench/kernel_case.h"

namespace tributary::bench {
namespace {

using nn::Activation, nn::LayerSpec, nn::PoolArgs;

const nn::Kernels& K() { return *nn::FindKernels(); }

void AddPool(const LayerSpec& spec, MovingCases* to) {
  const PoolArgs p = {spec.in.h,     spec.in.w,     spec.out.h,    spec.out.w,   spec.in.c,    spec.window_h,
                      spec.window_w, spec.stride_h, spec.stride_w, spec.pad_top, spec.pad_left};
  const size_t in = spec.in.size(), out = spec.out.size();
  const auto v = MakeArrays(in);
  const auto check = [=] {
    std::vector<float> y(out), want(out), dx(in), want_dx(in), mean(out), spread(in);
    std::vector<double> mean_want(out), spread_want(in);
    std::vector<uint16_t> index(out), want_index(out);
    K().max_pool(p, v->a.data(), y.data(), index.data());
    K().max_pool_backward(p, v->b.data(), index.data(), dx.data());
    nn::ref::MaxPool(p, v->a.data(), want.data(), want_index.data());
    nn::ref::MaxPoolBackward(p, v->b.data(), want_index.data(), want_dx.data());
    if (y != want || index != want_index || dx != want_dx) return std::string("max pool differs from the reference");
    K().avg_pool(p, v->a.data(), mean.data());
    K().avg_pool_backward(p, v->b.data(), spread.data());
    nn::ref::AvgPool(p, ToDouble(v->a).data(), mean_want.data());
    nn::ref::AvgPoolBackward(p, ToDouble(v->b).data(), spread_want.data());
    return Compare("average", mean, mean_want, Ones(out), 4) +
           Compare("its gradient", spread, spread_want, Ones(in), 4);
  };
  K().max_pool(p, v->a.data(), v->c.data(), v->index.data());
  const std::string shape = absl::StrCat(spec.in.h, "x", spec.in.w, "x", spec.in.c, " ");
  const double floats = static_cast<double>(in + out), indices = static_cast<double>(out) / 2;
  to->Add(
      shape + "max_pool", floats + indices, [=] { K().max_pool(p, v->a.data(), v->c.data(), v->index.data()); }, check);
  to->Add(
      shape + "max_pool, no index", floats, [=] { K().max_pool(p, v->a.data(), v->c.data(), nullptr); }, check);
  to->Add(
      shape + "max_pool_backward", floats + indices,
      [=] { K().max_pool_backward(p, v->b.data(), v->index.data(), v->c.data()); }, check);
  to->Add(
      shape + "avg_pool", floats, [=] { K().avg_pool(p, v->a.data(), v->c.data()); }, check);
  to->Add(
      shape + "avg_pool_backward", floats, [=] { K().avg_pool_backward(p, v->b.data(), v->c.data()); }, check);
}

void AddActivation(const char* name, Activation activation, void (*f)(float*, size_t),
                   void (*backward)(const float*, float*, size_t), size_t n, MovingCases* to) {
  const auto v = MakeArrays(n);
  const auto forward_check = [=] {
    std::vector<float> y = v->a;
    std::vector<double> want = ToDouble(v->a);
    f(y.data(), n);
    nn::ref::Activate(activation, 1, want.data(), n);
    return Compare("y", y, want, want, 1);
  };
  const auto backward_check = [=] {
    std::vector<float> dy = v->b;
    std::vector<double> want = ToDouble(v->b);
    backward(v->a.data(), dy.data(), n);
    nn::ref::ActivateBackward(activation, 1, ToDouble(v->a).data(), want.data(), n);
    return Compare("dy", dy, want, Ones(n), 1);
  };
  v->c = v->a, v->d = v->b;
  const double floats = static_cast<double>(n);
  to->Add(
      absl::StrCat(n, " ", name), 2 * floats, [=] { f(v->c.data(), n); }, forward_check);
  to->Add(
      absl::StrCat(n, " ", name, "_backward"), 3 * floats, [=] { backward(v->a.data(), v->d.data(), n); },
      backward_check);
}

void AddSoftmax(size_t rows, size_t n, MovingCases* to) {
  const auto v = MakeArrays(rows * n);
  const auto check = [=] {
    std::vector<float> y(rows * n), log_sum(rows);
    std::vector<double> want(rows * n), want_sum(rows), x = ToDouble(v->a);
    K().softmax(v->a.data(), rows, n, y.data(), log_sum.data());
    for (size_t i = 0; i < rows; ++i) want_sum[i] = nn::ref::Softmax(&x[i * n], n, &want[i * n]);
    return Compare("p", y, want, Ones(want.size()), static_cast<double>(n)) +
           Compare("log_sum", log_sum, want_sum, Ones(rows), static_cast<double>(n));
  };
  to->Add(
      absl::StrCat(rows, "x", n, " softmax"), 2.0 * static_cast<double>(rows * n),
      [=] { K().softmax(v->a.data(), rows, n, v->c.data(), v->d.data()); }, check);
}

void AddBinaryLoss(size_t n, MovingCases* to) {
  const auto v = MakeArrays(n);
  for (size_t i = 0; i < n; ++i) v->b[i] = i % 2 == 0 ? 1.0f : 0.0f;
  const auto check = [=] {
    std::vector<float> p(n), loss(n);
    std::vector<double> want(n), unused(n);
    K().binary_loss(v->a.data(), v->b.data(), n, p.data(), loss.data());
    for (size_t i = 0; i < n; ++i) {
      want[i] = nn::ref::BinaryCrossentropy<double>(v->a[i], v->b[i], &unused[i]);
    }
    return Compare("loss", loss, want, Ones(n), 1);
  };
  to->Add(
      absl::StrCat(n, " binary_loss"), 4.0 * static_cast<double>(n),
      [=] { K().binary_loss(v->a.data(), v->b.data(), n, v->c.data(), v->d.data()); }, check);
}

}  // namespace

std::vector<KernelCase> ImageCases() {
  MovingCases to;
  const nn::ModelDescription keras = Preset("keras-cnn"), fedavg = Preset("fedavg-cnn");
  for (const nn::ModelDescription* model : {&keras, &fedavg}) {
    for (const LayerSpec& layer : model->layers()) {
      if (layer.kind == nn::LayerKind::kMaxPool2D) AddPool(layer, &to);
    }
  }
  const size_t image = fedavg.layers()[0].out.size();
  AddActivation("relu", Activation::kRelu, K().relu, K().relu_backward, image, &to);
  AddActivation("sigmoid", Activation::kSigmoid, K().sigmoid, K().sigmoid_backward, image, &to);
  AddActivation("tanh", Activation::kTanh, K().tanh, K().tanh_backward, image, &to);
  AddSoftmax(32, 10, &to);
  AddSoftmax(256, 10, &to);
  AddBinaryLoss(32, &to);
  return std::move(to.cases);
}

}  // namespace tributary::bench
