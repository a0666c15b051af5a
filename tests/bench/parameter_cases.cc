// Sums, optimisers and layouts, called straight from the tables on the sizes that the presets give them.
#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "common/learning/fedavg.h"
#include "common/nn/kernels/bf16.h"
#include "common/nn/kernels/kernels.h"
#include "common/nn/kernels/optimizer_ref.h"
#include "tests/bench/kernel_case.h"

namespace tributary::bench {
namespace {

const nn::Kernels& K() { return *nn::FindKernels(); }

void AddSums(size_t n, MovingCases* to) {
  const auto v = MakeArrays(n);
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

void AddRowKernels(size_t rows, size_t n, MovingCases* to) {
  const auto v = MakeArrays(rows * n);
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

void AddOptimizers(size_t n, MovingCases* to) {
  const auto v = MakeArrays(n);
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

// The coordinator's exact average: one update checked and added, chunk by chunk as it comes off the disk. It reads four
// bytes a parameter and reads and writes two 64-bit limbs.
void AddAverage(size_t n, MovingCases* to) {
  const auto v = MakeArrays(n);
  const auto average = std::make_shared<learning::FedAvg>(n);
  const auto add = [n, v](learning::FedAvg* sum, uint64_t weight) {
    constexpr size_t kChunk = size_t{64} << 10;
    bool ok = sum->Begin(weight).ok();
    for (size_t at = 0; at < n; at += kChunk)
      ok &= sum->AddChunk(at, std::span(v->a).subspan(at, std::min(+kChunk, n - at))).ok();
    return ok && sum->End().ok();
  };
  to->Add(
      absl::StrCat(n, " average"), 9 * static_cast<double>(n), [=] { add(average.get(), 600); },
      [=] {
        learning::FedAvg one(n);
        if (!add(&one, 600) || !add(&one, 5)) return std::string("refused");
        const auto model = one.Finish(v->b, 1.0);
        for (size_t i = 0; i < n; ++i) {
          if ((*model)[i] != v->b[i] + v->a[i]) return absl::StrCat("parameter ", i);
        }
        return std::string();
      });
}

// bf16 layouts of an image [pixels, channels] or a matrix [rows, n].
void AddBf16Layouts(size_t rows, size_t n, MovingCases* to) {
  const nn::Bf16Kernels& k = *nn::FindBf16Kernels();
  const size_t depth = (rows + nn::kBf16Group - 1) / nn::kBf16Group * nn::kBf16Group;
  const auto v = MakeArrays(rows * n);
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

std::vector<KernelCase> ParameterCases() {
  MovingCases to;
  const nn::ModelDescription model = Preset("fedavg-cnn");
  AddSums(model.layers()[2].kernel_size, &to);  // a chunk's partial gradient
  AddSums(model.parameter_count(), &to);        // clipping
  AddRowKernels(14 * 14, 64, &to);              // a convolution's bias gradient
  AddRowKernels(32, 512, &to);                  // a dense layer's batch
  AddOptimizers(16384, &to);                    // a panel of the fused pass
  AddOptimizers(model.parameter_count(), &to);  // a step of its own
  AddAverage(model.parameter_count(), &to);
  AddAverage(10'000'000, &to);
  if (nn::FindBf16Kernels() != nullptr) {
    AddBf16Layouts(14 * 14, 32, &to);  // an image
    AddBf16Layouts(3136, 512, &to);    // a dense kernel
  }
  return std::move(to.cases);
}

}  // namespace tributary::bench
