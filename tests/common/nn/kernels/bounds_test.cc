// Every kernel of every table with each of its arrays against a protected page, on either side, and on starts off any
// alignment: it touches nothing outside, and where its arrays lie changes no bit.
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/nn/kernels/bf16.h"
#include "tests/common/nn/kernels/kernel_fixture.h"
#include "tests/common/nn/kernels/protected_page.h"

namespace tributary::nn {
namespace {

using Bytes = std::vector<uint8_t>;

// A call of a kernel: its arrays before, and the call on wherever they were put.
struct Call {
  std::string name;
  size_t size;
  std::vector<Bytes> arrays;
  std::function<void(void* const*)> run;
};

template <class T>
Bytes ToBytes(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

float* F(void* p) { return static_cast<float*>(p); }
uint16_t* H(void* p) { return static_cast<uint16_t*>(p); }

// Arrays somewhere in memory; what they hold after the call.
std::vector<Bytes> RunAt(const Call& call, const std::vector<void*>& places) {
  for (size_t i = 0; i < places.size(); ++i) {
    if (!call.arrays[i].empty()) std::memcpy(places[i], call.arrays[i].data(), call.arrays[i].size());
  }
  call.run(places.data());
  std::vector<Bytes> after;
  for (size_t i = 0; i < places.size(); ++i) {
    const uint8_t* from = static_cast<const uint8_t*>(places[i]);
    after.emplace_back(from, from + call.arrays[i].size());
  }
  return after;
}

std::vector<Bytes> RunFenced(const Call& call, FencedBytes::Side side) {
  std::vector<std::unique_ptr<FencedBytes>> fences;
  std::vector<void*> places;
  for (const Bytes& array : call.arrays) {
    fences.push_back(std::make_unique<FencedBytes>(array.size(), side));
    places.push_back(fences.back()->data());
  }
  return RunAt(call, places);
}

// Each array begins so many bytes after a cache line.
std::vector<Bytes> RunSkewed(const Call& call, size_t skew_bytes) {
  std::vector<std::unique_ptr<uint8_t, void (*)(void*)>> memory;
  std::vector<void*> places;
  for (const Bytes& array : call.arrays) {
    const size_t all = (array.size() + skew_bytes + 63) / 64 * 64 + 64;
    memory.emplace_back(static_cast<uint8_t*>(std::aligned_alloc(64, all)), std::free);
    places.push_back(memory.back().get() + skew_bytes);
  }
  return RunAt(call, places);
}

void CheckEverywhere(const Call& call) {
  SCOPED_TRACE(call.name + " of " + std::to_string(call.size));
  const std::vector<Bytes> want = RunSkewed(call, 0);
  for (const size_t skew : {4, 8, 12, 20, 36, 60}) ASSERT_EQ(want, RunSkewed(call, skew)) << skew << " bytes";
  ASSERT_EQ(want, RunFenced(call, FencedBytes::Side::kBegin)) << "after a protected page";
  ASSERT_EQ(want, RunFenced(call, FencedBytes::Side::kEnd)) << "before a protected page";
}

// Around one and two vectors of every set.
std::vector<size_t> Widths() { return {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65}; }

class BoundsTest : public KernelTest {
 protected:
  Bytes Random(size_t n) {
    std::vector<float> values(n);
    for (float& v : values) v = 2 * rng_.UniformFloat() - 1;
    return ToBytes(values);
  }
  static Bytes Zeros(size_t n) { return Bytes(n * sizeof(float)); }
  static size_t Last(const Axis& axis) {
    return axis.size() == 0 ? 0 : (axis.outer - 1) * axis.outer_stride + (axis.inner - 1) * axis.inner_stride;
  }

  void CheckGemm(const Axis& rows, const Axis& depth, size_t n, size_t gap, bool accumulate, bool bias) {
    const size_t m = rows.size(), steps = depth.size(), ldb = n + gap, ldc = n + 2 * gap;
    const auto matrix = [n](size_t height, size_t ld) { return height == 0 || n == 0 ? 0 : (height - 1) * ld + n; };
    const size_t a = m == 0 || steps == 0 ? 0 : Last(rows) + Last(depth) + 1;
    CheckEverywhere(
        {"gemm",
         n,
         {Random(a), Random(matrix(steps, ldb)), Random(matrix(m, ldc)), Random(n), Zeros(k().gemm_scratch)},
         [=, this](void* const* p) {
           GemmArgs args;
           args.a = F(p[0]), args.rows = rows, args.depth = depth;
           args.b = F(p[1]), args.ldb = ldb, args.n = n;
           args.c = F(p[2]), args.ldc = ldc;
           args.accumulate = accumulate, args.bias = bias ? F(p[3]) : nullptr, args.relu = bias;
           k().gemm(args, F(p[4]));
           std::memset(p[4], 0, k().gemm_scratch * sizeof(float));  // its leavings are nobody's business
         }});
  }
};

TEST_P(BoundsTest, MapsInPlace) {
  const std::pair<const char*, void (*)(float*, size_t)> maps[] = {
      {"relu", k().relu}, {"sigmoid", k().sigmoid}, {"tanh", k().tanh}};
  const std::pair<const char*, void (*)(const float*, float*, size_t)> backwards[] = {
      {"relu_backward", k().relu_backward},
      {"sigmoid_backward", k().sigmoid_backward},
      {"tanh_backward", k().tanh_backward}};
  for (const size_t n : Widths()) {
    for (const auto& [name, f] : maps) {
      CheckEverywhere({name, n, {Random(n)}, [n, f = f](void* const* p) { f(F(p[0]), n); }});
    }
    for (const auto& [name, f] : backwards) {
      CheckEverywhere({name, n, {Random(n), Random(n)}, [n, f = f](void* const* p) { f(F(p[0]), F(p[1]), n); }});
    }
    CheckEverywhere({"scale", n, {Random(n)}, [=, this](void* const* p) { k().scale(0.3f, F(p[0]), n); }});
    CheckEverywhere({"add", n, {Random(n), Random(n)}, [=, this](void* const* p) { k().add(F(p[0]), n, F(p[1])); }});
  }
}

TEST_P(BoundsTest, RowsAndSums) {
  for (const size_t n : Widths()) {
    for (const size_t rows : {size_t{1}, size_t{3}, size_t{4}, size_t{6}}) {
      CheckEverywhere({"add_rows", n, {Random(rows * n), Random(n)}, [=, this](void* const* p) {
                         k().add_rows(F(p[0]), rows, n, F(p[1]));
                       }});
      if (n == 0) continue;
      CheckEverywhere({"softmax", n, {Random(rows * n), Zeros(rows * n), Zeros(rows)}, [=, this](void* const* p) {
                         k().softmax(F(p[0]), rows, n, F(p[1]), F(p[2]));
                       }});
    }
    CheckEverywhere({"binary_loss", n, {Random(n), Random(n), Zeros(n), Zeros(n)}, [=, this](void* const* p) {
                       k().binary_loss(F(p[0]), F(p[1]), n, F(p[2]), F(p[3]));
                     }});
    CheckEverywhere({"sum_squares", n, {Random(n), Zeros(2)}, [=, this](void* const* p) {
                       const double sum = k().sum_squares(F(p[0]), n);
                       std::memcpy(p[1], &sum, sizeof(sum));
                     }});
  }
}

TEST_P(BoundsTest, OptimizerSteps) {
  for (const size_t n : Widths()) {
    CheckEverywhere(
        {"sgd", n, {Random(n), Random(n)}, [=, this](void* const* p) { k().sgd(0.1f, 0.01f, F(p[0]), F(p[1]), n); }});
    CheckEverywhere({"momentum", n, {Random(n), Random(n), Random(n)}, [=, this](void* const* p) {
                       k().momentum(0.1f, 0.01f, F(p[0]), F(p[1]), F(p[2]), n);
                     }});
    CheckEverywhere({"adam", n, {Random(n), Random(n), Zeros(n), Random(n)}, [=, this](void* const* p) {
                       k().adam({0.1f, 0.01f}, F(p[0]), F(p[1]), F(p[2]), F(p[3]), n);
                     }});
  }
}

TEST_P(BoundsTest, Pools) {
  for (const size_t c : Widths()) {
    // Tiling, left over, padded and overlapping, with gaps.
    for (const PoolArgs& p : {PoolArgs{4, 6, 2, 3, c, 2, 2, 2, 2, 0, 0}, PoolArgs{5, 3, 2, 1, c, 2, 2, 2, 2, 0, 0},
                              PoolArgs{5, 6, 5, 3, c, 3, 5, 1, 2, 1, 1}, PoolArgs{7, 5, 3, 2, c, 1, 2, 3, 3, 0, 0}}) {
      const size_t in = p.in_h * p.in_w * c, out = p.out_h * p.out_w * c;
      const Bytes index(out * sizeof(uint16_t));
      CheckEverywhere({"max_pool", c, {Random(in), Zeros(out), index}, [=, this](void* const* a) {
                         k().max_pool(p, F(a[0]), F(a[1]), H(a[2]));
                       }});
      CheckEverywhere({"max_pool_backward", c, {Random(out), index, Random(in)}, [=, this](void* const* a) {
                         k().max_pool_backward(p, F(a[0]), H(a[1]), F(a[2]));
                       }});
      CheckEverywhere(
          {"avg_pool", c, {Random(in), Zeros(out)}, [=, this](void* const* a) { k().avg_pool(p, F(a[0]), F(a[1])); }});
      CheckEverywhere({"avg_pool_backward", c, {Random(out), Random(in)}, [=, this](void* const* a) {
                         k().avg_pool_backward(p, F(a[0]), F(a[1]));
                       }});
    }
  }
}

TEST_P(BoundsTest, Gemm) {
  for (const size_t n : Widths()) {
    for (const size_t m : {size_t{1}, size_t{6}, size_t{14}, size_t{15}}) {
      CheckGemm({m, 9}, {9, 1}, n, 0, false, true);
      CheckGemm({m, 9}, {9, 1}, n, 3, true, false);
    }
    CheckGemm({13, 1}, {20, 13}, n, 1, false, false);            // A transposed
    CheckGemm({4, 6, 5, 50}, {6, 1, 3, 25}, n, 0, false, true);  // a convolution's shape
    CheckGemm({6, 1, 3, 25}, {4, 6, 5, 50}, n, 1, true, false);  // its kernel gradient's
  }
  CheckGemm({3, 1100}, {1100, 1}, 33, 0, false, true);  // more than one block of the depth
  CheckGemm({0, 1}, {5, 1}, 9, 0, false, true);
  CheckGemm({3, 0}, {0, 1}, 9, 0, false, true);
}

TEST_P(BoundsTest, Transpose) {
  for (const size_t rows : Widths()) {
    for (const size_t cols : {size_t{1}, size_t{4}, size_t{15}, size_t{16}, size_t{17}, size_t{33}}) {
      for (const size_t gap : {size_t{0}, size_t{3}}) {
        const size_t lds = cols + gap, ldd = rows + gap;
        const size_t from = rows == 0 ? 0 : (rows - 1) * lds + cols, to = rows == 0 ? 0 : (cols - 1) * ldd + rows;
        CheckEverywhere({"transpose", rows, {Random(from), Zeros(to)}, [=, this](void* const* p) {
                           k().transpose(F(p[0]), rows, cols, lds, F(p[1]), ldd);
                         }});
      }
    }
  }
}

TRB_ON_EVERY_ISA(BoundsTest);

// --- bf16.

std::vector<const Bf16Kernels*> AllBf16Kernels() {
  size_t count = 0;
  const Bf16Kernels* const* tables = SupportedBf16Kernels(&count);
  return {tables, tables + count};
}

class Bf16BoundsTest : public testing::TestWithParam<const Bf16Kernels*> {
 protected:
  const Bf16Kernels& k() const { return *GetParam(); }
  static size_t Padded(size_t n) { return (n + kBf16Group - 1) / kBf16Group * kBf16Group; }
  Bytes Floats(size_t n) {
    std::vector<float> values(n);
    for (float& v : values) v = 2 * rng_.UniformFloat() - 1;
    return ToBytes(values);
  }
  Bytes Halves(size_t n) {
    std::vector<Bf16> values(n);
    for (Bf16& v : values) v = static_cast<Bf16>(0x3F00 + rng_.Below(256));  // around 0.5 to 2
    return ToBytes(values);
  }

  // A ends where its last run, rounded up to a group, ends: nothing further may be read.
  void CheckGemm(const Axis& rows, const Axis& depth, size_t n, size_t gap, bool accumulate, bool bias,
                 const Bf16Taps& taps = {}) {
    const size_t m = rows.size(), ldc = n + gap;
    const size_t a = (rows.outer - 1) * rows.outer_stride + (rows.inner - 1) * rows.inner_stride +
                     (depth.outer - 1) * depth.outer_stride + (taps.h - 1) * taps.a_h + (taps.w - 1) * taps.a_w +
                     Padded(depth.inner);
    const size_t b = (n + kBf16Panel - 1) / kBf16Panel * kBf16Panel * depth.outer * Padded(depth.inner);
    const size_t c = (taps.h * taps.w - 1) * taps.c + (m - 1) * ldc + n;
    CheckEverywhere({"gemm", n, {Halves(a), Halves(b), Floats(c), Floats(n)}, [=, this](void* const* p) {
                       Bf16Args args;
                       args.a = H(p[0]), args.rows = rows, args.depth = depth, args.b = H(p[1]), args.n = n;
                       args.c = F(p[2]), args.ldc = ldc, args.accumulate = accumulate;
                       args.bias = bias ? F(p[3]) : nullptr, args.relu = bias, args.taps = taps;
                       k().gemm(args);
                     }});
  }

  Rng rng_{uint64_t{22}};
};

TEST_P(Bf16BoundsTest, Gemm) {
  for (const size_t n : Widths()) {
    if (n == 0) continue;
    for (const size_t m : {size_t{1}, size_t{12}, size_t{13}, size_t{16}, size_t{17}, size_t{33}}) {
      CheckGemm({m, 33}, {33, 1, 1, 0}, n, 0, false, true);
      CheckGemm({m, 64}, {64, 1, 1, 0}, n, 3, true, false);
      CheckGemm({m, 40}, {31, 1, 1, 0}, n, 0, false, false);
    }
    CheckGemm({14, 4, 6, 2 * 72}, {12, 1, 5, 72}, n, 0, false, true);
    CheckGemm({5, 1}, {130, 1, 1, 0}, n, 1, true, false, {3, 1, 20, 0, 5 * (n + 1)});
    CheckGemm({18, 200}, {100, 1, 1, 0}, n, 0, true, false, {3, 3, 18, 1, 18 * n});
  }
}

TEST_P(Bf16BoundsTest, PackConvertTranspose) {
  for (const size_t n : Widths()) {
    CheckEverywhere(
        {"convert", n, {Floats(n), Halves(n)}, [=, this](void* const* p) { k().convert(F(p[0]), n, H(p[1])); }});
    for (const size_t cols : {size_t{1}, size_t{15}, size_t{16}, size_t{17}, size_t{33}}) {
      const size_t from = n == 0 ? 0 : (n - 1) * (cols + 2) + cols, to = n == 0 ? 0 : (cols - 1) * (n + 3) + n;
      CheckEverywhere({"transpose", n, {Floats(from), Halves(to)}, [=, this](void* const* p) {
                         k().transpose(F(p[0]), n, cols, cols + 2, H(p[1]), n + 3);
                       }});
    }
    if (n == 0 || n > kBf16Panel) continue;
    for (const size_t depth : {size_t{32}, size_t{96}}) {
      CheckEverywhere({"pack", n, {Floats(depth * n), Halves(depth * kBf16Panel)}, [=, this](void* const* p) {
                         std::vector<const float*> rows(depth, nullptr);
                         for (size_t i = 0; i < depth; ++i) {
                           if (i % 7 != 6) rows[i] = F(p[0]) + i * n;
                         }
                         k().pack(rows.data(), depth, n, H(p[1]));
                       }});
    }
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Bf16BoundsTest);  // a CPU without either set
INSTANTIATE_TEST_SUITE_P(Isas, Bf16BoundsTest, testing::ValuesIn(AllBf16Kernels()),
                         [](const auto& variant) { return std::string(variant.param->isa); });

// --- The fence itself.

TEST(FencedBytesDeathTest, AByteBeforeOrAfterIsFatal) {
  const FencedBytes begin(40, FencedBytes::Side::kBegin), end(40, FencedBytes::Side::kEnd);
  volatile uint8_t* first = begin.data();
  volatile uint8_t* last = end.data() + 39;
  *first = 1;
  *last = 1;
  EXPECT_DEATH(first[-1] = 1, "");
  EXPECT_DEATH(last[1] = 1, "");
  EXPECT_DEATH(static_cast<void>(first[-1]), "");
  EXPECT_DEATH(static_cast<void>(last[1]), "");
}

TEST(FencedBytesDeathTest, AKernelThatIsAskedForOneTooManyDies) {
  for (const Kernels* kernels : AllKernels()) {
    const FencedBytes end(33 * sizeof(float), FencedBytes::Side::kEnd);
    EXPECT_DEATH(kernels->scale(2.0f, F(end.data()), 34), "") << kernels->isa;
  }
}

}  // namespace
}  // namespace tributary::nn
