// Convolutions an image at a time and dense layers a batch at a time, through the code that the network calls them by:
// padding, packing and the optimiser's part are timed with the products. An instruction set a precision.
#include <algorithm>
#include <memory>
#include <vector>

#include "common/nn/conv_products.h"
#include "common/nn/kernels/bf16.h"
#include "common/nn/kernels/conv2d_ref.h"
#include "common/nn/kernels/dense_ref.h"
#include "common/nn/optimizer.h"
#include "common/nn/segment.h"
#include "tests/bench/kernel_case.h"
#include "tests/bench/model_flops.h"

namespace tributary::bench {
namespace {

using nn::LayerSpec;

constexpr size_t kBatch = 32;
constexpr size_t kImages = nn::ConvProducts::kGroup;

// A layer of a preset with parameters, scratch and what a pass needs.
struct Setup {
  Setup(const char* preset, const LayerSpec& layer, bool in_bf16)
      : name(preset),
        model(Preset(preset)),
        spec(layer),
        bf16(in_bf16 ? nn::FindBf16Kernels() : nullptr),
        parameters(Noise(model.parameter_count(), 1)),
        gradients(model.parameter_count()) {}

  nn::Pass MakePass(size_t n, nn::Optimizer* optimizer) {
    return {.kernels = *nn::FindKernels(),
            .threads = 1,
            .workers = workers,
            .n = n,
            .training = true,
            .info = {},
            .dropout = dropout,
            .parameters = parameters.data(),
            .gradients = gradients.data(),
            .overwrite = true,
            .optimizer = optimizer};
  }
  void MakeWorker(const nn::ScratchNeeds& needs) { workers.emplace_back(needs); }
  std::string CaseName(const char* what) const {
    return absl::StrCat(bf16 != nullptr ? "bf16 " : "", name, " ", spec.in.size(), "x", spec.out.size(), " ", what);
  }
  const float* kernel() const { return parameters.data() + spec.kernel_offset; }
  const float* bias() const { return kernel() + spec.kernel_size; }

  const char* name;
  const nn::ModelDescription model;
  const LayerSpec spec;
  const nn::Bf16Kernels* bf16;
  std::vector<float> parameters, gradients;
  std::vector<nn::Worker> workers;
  Rng dropout{uint64_t{0}};
};

std::vector<double> Sizes(std::vector<double> values) {
  for (double& v : values) v = std::fabs(v);
  return values;
}

class Convolution : public Setup {
 public:
  Convolution(const char* preset, const LayerSpec& layer, bool in_bf16)
      : Setup(preset, layer, in_bf16),
        products(in_bf16 ? nn::MakeBf16ConvProducts(spec, false, true, *bf16)
                         : nn::MakeFloat32ConvProducts(spec, false, true)),
        x(Noise(kImages * spec.in.size(), 2)),
        dy(Noise(kImages * spec.out.size(), 3)),
        y(spec.out.size()),
        dx(spec.in.size()),
        dw(spec.kernel_size) {
    MakeWorker(products->scratch(*nn::FindKernels()));
    Begin();
  }
  void Begin() {
    products->BeginForward(MakePass(1, nullptr));
    products->BeginBackward(MakePass(1, nullptr), true);
  }
  void Forward() { products->Forward(MakePass(1, nullptr), x.data(), y.data(), workers[0]); }
  void InputGradient() { products->InputGradient(MakePass(1, nullptr), dy.data(), dx.data(), workers[0]); }
  void KernelGradient() {
    const nn::Pass pass = MakePass(kImages, nullptr);
    for (size_t i = 0; i < kImages; ++i) {
      products->KernelGradient(pass, x.data() + i * spec.in.size(), dy.data() + i * spec.out.size(), i, dw.data(),
                               workers[0]);
    }
    products->FinishKernelGradient(pass, kImages, dw.data(), workers[0]);
  }

  std::string CheckForward() {
    std::vector<double> want[2] = {std::vector<double>(y.size()), std::vector<double>(y.size())};
    const auto in = ToDouble(x), w = ToDouble({kernel(), spec.kernel_size}), b = ToDouble({bias(), spec.bias_size});
    nn::ref::Conv2D(spec, in.data(), w.data(), b.data(), want[0].data());
    nn::ref::Conv2D(spec, Sizes(in).data(), Sizes(w).data(), Sizes(b).data(), want[1].data());
    Forward();
    return Compare("y", y, want[0], want[1], Terms());
  }
  // Both gradients of the group's images; db is not ConvProducts' work.
  std::string CheckBackward() {
    std::vector<double> gradient[2], input[2];
    for (const int absolute : {0, 1}) {
      const auto make = [&](std::span<const float> v) { return absolute == 1 ? Sizes(ToDouble(v)) : ToDouble(v); };
      const auto in = make(x), w = make({kernel(), spec.kernel_size}), out = make(dy);
      gradient[absolute].resize(dw.size()), input[absolute].resize(dx.size());
      std::vector<double> db(spec.bias_size);
      for (size_t i = kImages; i-- > 0;) {  // the first image last: its input gradient is the one compared
        nn::ref::Conv2DBackward(spec, in.data() + i * spec.in.size(), w.data(), out.data() + i * spec.out.size(),
                                gradient[absolute].data(), db.data(), input[absolute].data());
      }
    }
    std::fill(dw.begin(), dw.end(), 0.0f);
    KernelGradient();
    InputGradient();
    const double pixels = static_cast<double>(kImages * spec.out.h * spec.out.w);
    return Compare("dw", dw, gradient[0], gradient[1], pixels) +
           Compare("dx", dx, input[0], input[1], Terms() * static_cast<double>(spec.out.c));
  }

 private:
  double Terms() const { return static_cast<double>(spec.kernel_size / spec.out.c); }

  std::unique_ptr<nn::ConvProducts> products;
  std::vector<float> x, dy, y, dx, dw;
};

class DenseLayer : public Setup {
 public:
  DenseLayer(const char* preset, const LayerSpec& layer, bool in_bf16)
      : Setup(preset, layer, in_bf16), x(Noise(kBatch * spec.in.size(), 2)), dx(x.size()) {
    const nn::SegmentOptions options{kBatch, true, bf16};
    segment =
        in_bf16 ? nn::MakeBf16DenseSegment(spec, false, options) : nn::MakeFloat32DenseSegment(spec, false, options);
    adam = nn::Optimizer::Create(model, {.kind = nn::OptimizerKind::kAdam}).value();
    MakeWorker(segment->scratch(*nn::FindKernels()));
    Prepare();
  }
  void Forward() { y = segment->Forward(MakePass(kBatch, nullptr), x.data()); }
  void Backward() { segment->Backward(MakePass(kBatch, nullptr), x.data(), dx.data()); }
  void BackwardAndAdam() {
    adam->BeginStep(1e-6f);
    segment->Backward(MakePass(kBatch, adam.get()), x.data(), dx.data());
  }

  // The whole layer against the reference; it has no activation (AddDense).
  std::string Check() {
    const size_t in = spec.in.size(), out = spec.out.c;
    std::vector<double> want_y[2], want_dw[2], want_dx[2];
    for (const int absolute : {0, 1}) {
      const auto make = [&](std::span<const float> v) { return absolute == 1 ? Sizes(ToDouble(v)) : ToDouble(v); };
      const auto xs = make(x), w = make({kernel(), spec.kernel_size}), b = make({bias(), out}), dy = make(Gradient());
      std::vector<double> db(out);
      want_y[absolute].resize(kBatch * out), want_dx[absolute].resize(kBatch * in), want_dw[absolute].resize(in * out);
      for (size_t e = 0; e < kBatch; ++e) {
        nn::ref::Dense(in, out, &xs[e * in], w.data(), b.data(), &want_y[absolute][e * out]);
        nn::ref::DenseBackward(in, out, &xs[e * in], w.data(), &dy[e * out], want_dw[absolute].data(), db.data(),
                               &want_dx[absolute][e * in]);
      }
    }
    Prepare();
    Backward();
    const float* dw = gradients.data() + spec.kernel_offset;
    return Compare("y", {y, kBatch * out}, want_y[0], want_y[1], static_cast<double>(in)) +
           Compare("dw", {dw, in * out}, want_dw[0], want_dw[1], kBatch) +
           Compare("dx", dx, want_dx[0], want_dx[1], static_cast<double>(out));
  }

  // In one pass: the bits of the gradient and then a step.
  std::string CheckFused() {
    const std::vector<float> before = parameters;
    Prepare();
    Backward();
    const auto apart = nn::Optimizer::Create(model, {.kind = nn::OptimizerKind::kAdam}).value();
    std::vector<float> want = before;
    apart->BeginStep(1e-3f);
    const size_t at = spec.kernel_offset;
    apart->Update(at, spec.kernel_size, true, gradients.data() + at, want.data() + at);
    adam = nn::Optimizer::Create(model, {.kind = nn::OptimizerKind::kAdam}).value();
    Prepare();
    adam->BeginStep(1e-3f);
    segment->Backward(MakePass(kBatch, adam.get()), x.data(), dx.data());
    const bool same = std::equal(want.begin() + static_cast<std::ptrdiff_t>(at),
                                 want.begin() + static_cast<std::ptrdiff_t>(at + spec.kernel_size),
                                 parameters.begin() + static_cast<std::ptrdiff_t>(at));
    parameters = before;
    return same ? "" : "one pass gives other bits than gradient and step";
  }

 private:
  std::vector<float> Gradient() const { return Noise(kBatch * spec.out.c, 3); }
  void Prepare() {
    Forward();
    const std::vector<float> dy = Gradient();
    std::copy(dy.begin(), dy.end(), segment->gradient());
  }

  std::unique_ptr<nn::Segment> segment;
  std::unique_ptr<nn::Optimizer> adam;
  std::vector<float> x, dx;
  const float* y = nullptr;
};

void AddConvolution(const char* preset, const LayerSpec& spec, bool bf16, std::vector<KernelCase>* cases) {
  const auto c = std::make_shared<Convolution>(preset, spec, bf16);
  const double flops = ForwardFlops(spec);
  const auto forward = [c] { return c->CheckForward(); };
  const auto backward = [c] { return c->CheckBackward(); };
  const auto add = [&](const char* what, double work, auto run, auto check) {
    cases->push_back({c->CaseName(what), work, 0, bf16, run, check});
  };
  add(
      "convolution", flops, [c] { c->Forward(); }, forward);
  add(
      "kernel gradient", flops * kImages, [c] { c->KernelGradient(); }, backward);
  if (spec.in.c > 1)
    add(
        "input gradient", flops, [c] { c->InputGradient(); }, backward);  // the first layer has none
}

void AddDense(const char* preset, LayerSpec spec, bool bf16, std::vector<KernelCase>* cases) {
  spec.activation = nn::Activation::kNone;  // timed on its own
  const auto c = std::make_shared<DenseLayer>(preset, spec, bf16);
  const double flops = ForwardFlops(spec) * kBatch, bytes = static_cast<double>(spec.kernel_size * sizeof(float));
  const auto check = [c] { return c->Check(); };
  cases->push_back({c->CaseName("dense"), flops, bytes, bf16, [c] { c->Forward(); }, check});
  cases->push_back({c->CaseName("dense, both gradients"), 2 * flops, 2 * bytes, bf16, [c] { c->Backward(); }, check});
  cases->push_back({c->CaseName("dense, both gradients and Adam"), 2 * flops, 6 * bytes, bf16,
                    [c] { c->BackwardAndAdam(); }, [c] { return c->CheckFused(); }});
}

}  // namespace

std::vector<KernelCase> LayerCases() {
  std::vector<KernelCase> cases;
  for (const bool bf16 : {false, true}) {
    if (bf16 && nn::FindBf16Kernels() == nullptr) continue;
    for (const char* preset : {"keras-cnn", "fedavg-cnn"}) {
      const nn::ModelDescription model = Preset(preset);
      for (const LayerSpec& layer : model.layers()) {
        if (layer.kind == nn::LayerKind::kConv2D) AddConvolution(preset, layer, bf16, &cases);
        if (layer.kind == nn::LayerKind::kDense) AddDense(preset, layer, bf16, &cases);
      }
    }
  }
  return cases;
}

}  // namespace tributary::bench
