// Pools, activations, losses, sums, layouts and optimisers: kernels that move more than they multiply, called straight
// from the tables, on the sizes that the presets give them.
#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "common/nn/kernels/activation_ref.h"
#include "common/nn/kernels/bf16.h"
#include "common/nn/kernels/kernels.h"
#include "common/nn/kernels/loss_ref.h"
#include "common/nn/kernels/optimizer_ref.h"
#include "common/nn/kernels/pool_ref.h"
#include "tests/bench/kernel_case.h"

namespace tributary::bench {
namespace {

using nn::Activation, nn::LayerSpec, nn::PoolArgs;

constexpr double kFloat = sizeof(float);
const nn::Kernels& K() { return *nn::FindKernels(); }

// What a case works on; the closures share it.
struct Arrays {
  explicit Arrays(size_t n) : a(Noise(n, 1)), b(Noise(n, 2)), c(n), d(n), index(n) {}
  std::vector<float> a, b, c, d;
  std::vector<uint16_t> index;
};
std::shared_ptr<Arrays> Make(size_t n) { return std::make_shared<Arrays>(n); }

// `bytes`: floats moved times 4. `check` is given what to compare with and calls the kernel on fresh arrays.
struct Builder {
  std::vector<KernelCase> cases;
  void Add(const std::string& name, double floats, std::function<void()> run, std::function<std::string()> check) {
    cases.push_back({name, 0, floats * kFloat, false, std::move(run), std::move(check)});
  }
};

std::vector<double> Ones(size_t n) { return std::vector<double>(n, 1.0); }

void AddPool(const LayerSpec& spec, Builder* to) {
  const PoolArgs p = {spec.in.h,     spec.in.w,     spec.out.h,    spec.out.w,   spec.in.c,    spec.window_h,
                      spec.window_w, spec.stride_h, spec.stride_w, spec.pad_top, spec.pad_left};
  const size_t in = spec.in.size(), out = spec.out.size();
  const auto v = Make(in);
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
                   void (*backward)(const float*, float*, size_t), size_t n, Builder* to) {
  const auto v = Make(n);
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

void AddSoftmax(size_t rows, size_t n, Builder* to) {
  const auto v = Make(rows * n);
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

void AddBinaryLoss(size_t n, Builder* to) {
  const auto v = Make(n);
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

void AddSums(size_t n, Builder* to) {
  const auto v = Make(n);
  const double floats = static_cast<double>(n);
  to->Add(
      absl::StrCat(n, " add"), 3 * floats, [=] { K().add(v->a.data(), n, v->c.data()); },
      [=] {
        std::vector<float> sum = v->b;
        K().add(v->a.data(), n, sum.data());
        for (size_t i = 0; i < n; ++i) {
          if (sum[i] != v->a[i] + v->b[i]) return absl::StrCat("sum[", i, "]");
        }
        return std::string();
      });
  to->Add(
      absl::StrCat(n, " scale"), 2 * floats, [=] { K().scale(1.0f, v->c.data(), n); },
      [=] {
        std::vector<float> x = v->a;
        K().scale(0.5f, x.data(), n);
        for (size_t i = 0; i < n; ++i) {
          if (x[i] != 0.5f * v->a[i]) return absl::StrCat("x[", i, "]");
        }
        return std::string();
      });
  to->Add(
      absl::StrCat(n, " sum_squares"), floats, [=] { v->d[0] = static_cast<float>(K().sum_squares(v->a.data(), n)); },
      [=] {
        double want = 0;
        for (const float x : v->a) want += static_cast<double>(x) * static_cast<double>(x);
        return std::fabs(want - K().sum_squares(v->a.data(), n)) <= 1e-12 * want ? "" : "sum of squares";
      });
}

void AddRowKernels(size_t rows, size_t n, Builder* to) {
  const auto v = Make(rows * n);
  const double floats = static_cast<double>(rows * n);
  to->Add(
      absl::StrCat(rows, "x", n, " add_rows"), floats, [=] { K().add_rows(v->a.data(), rows, n, v->c.data()); },
      [=] {
        std::vector<float> sums(n);
        std::vector<double> want(n), size(n);
        K().add_rows(v->a.data(), rows, n, sums.data());
        for (size_t i = 0; i < rows * n; ++i) {
          want[i % n] += static_cast<double>(v->a[i]), size[i % n] += std::fabs(static_cast<double>(v->a[i]));
        }
        return Compare("sums", sums, want, size, static_cast<double>(rows));
      });
  to->Add(
      absl::StrCat(rows, "x", n, " transpose"), 2 * floats,
      [=] { K().transpose(v->a.data(), rows, n, n, v->d.data(), rows); },
      [=] {
        std::vector<float> turned(rows * n);
        K().transpose(v->a.data(), rows, n, n, turned.data(), rows);
        for (size_t i = 0; i < rows * n; ++i) {
          if (turned[i % n * rows + i / n] != v->a[i]) return absl::StrCat("element ", i);
        }
        return std::string();
      });
}

std::string CheckOptimizers(const Arrays& v) {
  const size_t n = v.a.size();
  const float lr = 0.01f, decay = 0.002f;
  std::vector<float> w[3] = {v.b, v.b, v.b}, velocity(n), m(n), s(n);
  std::vector<double> want[3] = {ToDouble(v.b), ToDouble(v.b), ToDouble(v.b)};
  const double step = static_cast<double>(lr) * std::sqrt(1 - 0.999) / (1 - 0.9);
  K().sgd(lr, decay, v.a.data(), w[0].data(), n);
  K().momentum(lr, decay, v.a.data(), velocity.data(), w[1].data(), n);
  K().adam({static_cast<float>(step), decay}, v.a.data(), m.data(), s.data(), w[2].data(), n);
  for (size_t i = 0; i < n; ++i) {
    double zero[3] = {0, 0, 0};
    nn::ref::Sgd<double>(lr, decay, v.a[i], &want[0][i]);
    nn::ref::Momentum<double>(lr, decay, v.a[i], &zero[0], &want[1][i]);
    nn::ref::Adam<double>(lr, decay, 1, v.a[i], &zero[1], &zero[2], &want[2][i]);
  }
  return Compare("sgd", w[0], want[0], Ones(n), 1) + Compare("momentum", w[1], want[1], Ones(n), 1) +
         Compare("adam", w[2], want[2], Ones(n), 1);
}

void AddOptimizers(size_t n, Builder* to) {
  const auto v = Make(n);
  const auto check = [=] { return CheckOptimizers(*v); };
  const double floats = static_cast<double>(n);
  to->Add(
      absl::StrCat(n, " sgd"), 3 * floats, [=] { K().sgd(1e-6f, 0, v->a.data(), v->b.data(), n); }, check);
  to->Add(
      absl::StrCat(n, " momentum"), 5 * floats,
      [=] { K().momentum(1e-6f, 0, v->a.data(), v->c.data(), v->b.data(), n); }, check);
  to->Add(
      absl::StrCat(n, " adam"), 7 * floats,
      [=] {
        K().adam({1e-6f, 0}, v->a.data(), v->c.data(), v->d.data(), v->b.data(), n);
      },
      check);
}

// bf16 layouts of an image [pixels, channels] or a matrix [rows, n].
void AddBf16Layouts(size_t rows, size_t n, Builder* to) {
  const nn::Bf16Kernels& k = *nn::FindBf16Kernels();
  const size_t depth = (rows + nn::kBf16Group - 1) / nn::kBf16Group * nn::kBf16Group;
  const auto v = Make(rows * n);
  const auto halves = std::make_shared<std::vector<nn::Bf16>>(std::max(rows * n, depth * nn::kBf16Panel));
  const auto half = [](float x) {  // exact: Noise is made of such numbers
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return static_cast<nn::Bf16>(bits >> 16);
  };
  const auto pointers = std::make_shared<std::vector<const float*>>(depth, nullptr);
  for (size_t i = 0; i < rows; ++i) (*pointers)[i] = v->a.data() + i * n;
  const size_t columns = std::min(n, nn::kBf16Panel);
  const std::string shape = absl::StrCat("bf16 ", rows, "x", n, " ");
  const double elements = static_cast<double>(rows * n), panel = static_cast<double>(depth * columns);
  to->Add(
      shape + "convert", 1.5 * elements, [=, &k] { k.convert(v->a.data(), rows * n, halves->data()); },
      [=, &k] {
        k.convert(v->a.data(), rows * n, halves->data());
        for (size_t i = 0; i < rows * n; ++i) {
          if ((*halves)[i] != half(v->a[i])) return absl::StrCat("element ", i);
        }
        return std::string();
      });
  to->Add(
      shape + "transpose", 1.5 * elements, [=, &k] { k.transpose(v->a.data(), rows, n, n, halves->data(), rows); },
      [=, &k] {
        k.transpose(v->a.data(), rows, n, n, halves->data(), rows);
        for (size_t i = 0; i < rows * n; ++i) {
          if ((*halves)[i % n * rows + i / n] != half(v->a[i])) return absl::StrCat("element ", i);
        }
        return std::string();
      });
  // [group][vector of 16 columns][pair of steps][column][step of the pair]
  to->Add(
      shape + "pack", 1.5 * panel, [=, &k] { k.pack(pointers->data(), depth, columns, halves->data()); },
      [=, &k] {
        k.pack(pointers->data(), depth, columns, halves->data());
        for (size_t i = 0; i < rows; ++i) {
          for (size_t j = 0; j < columns; ++j) {
            const size_t group = i / nn::kBf16Group, step = i % nn::kBf16Group;
            const size_t at =
                group * nn::kBf16GroupSize + j / 16 * (nn::kBf16GroupSize / 2) + step / 2 * 32 + j % 16 * 2 + step % 2;
            if ((*halves)[at] != half(v->a[i * n + j])) return absl::StrCat("step ", i, ", column ", j);
          }
        }
        return std::string();
      });
}

}  // namespace

std::vector<KernelCase> MemoryCases() {
  Builder to;
  const nn::ModelDescription model = Preset("fedavg-cnn");
  for (const char* preset : {"keras-cnn", "fedavg-cnn"}) {
    const nn::ModelDescription pooled = Preset(preset);
    for (const LayerSpec& layer : pooled.layers()) {
      if (layer.kind == nn::LayerKind::kMaxPool2D) AddPool(layer, &to);
    }
  }
  const size_t image = model.layers()[0].out.size();
  AddActivation("relu", Activation::kRelu, K().relu, K().relu_backward, image, &to);
  AddActivation("sigmoid", Activation::kSigmoid, K().sigmoid, K().sigmoid_backward, image, &to);
  AddActivation("tanh", Activation::kTanh, K().tanh, K().tanh_backward, image, &to);
  AddSoftmax(32, 10, &to);
  AddSoftmax(256, 10, &to);
  AddBinaryLoss(32, &to);
  AddSums(model.layers()[2].kernel_size, &to);  // a chunk's partial gradient
  AddSums(model.parameter_count(), &to);        // clipping
  AddRowKernels(14 * 14, 64, &to);              // a convolution's bias gradient; one tap turned around is as small
  AddRowKernels(32, 512, &to);                  // a dense layer's batch
  AddOptimizers(16384, &to);                    // a panel of the fused pass
  AddOptimizers(model.parameter_count(), &to);
  if (nn::FindBf16Kernels() != nullptr) {
    AddBf16Layouts(14 * 14, 32, &to);
    AddBf16Layouts(3136, 512, &to);
  }
  return std::move(to.cases);
}

}  // namespace tributary::bench
