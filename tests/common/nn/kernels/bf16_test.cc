#include "common/nn/kernels/bf16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "tests/common/nn/kernels/kernel_fixture.h"

namespace tributary::nn {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr Bf16 kGuard = 0x4242;

float ToFloat(Bf16 v) { return std::bit_cast<float>(static_cast<uint32_t>(v) << 16); }
// Nearest, ties to even, in integers: the definition.
Bf16 Rounded(float v) {
  if (std::isnan(v)) return static_cast<Bf16>(std::bit_cast<uint32_t>(v) >> 16 | 0x40);
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  return static_cast<Bf16>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }
size_t At(const Axis& axis, size_t i) {
  return i / axis.inner * axis.outer_stride + i % axis.inner * axis.inner_stride;
}

std::vector<const Bf16Kernels*> AllBf16Kernels() {
  size_t count = 0;
  const Bf16Kernels* const* tables = SupportedBf16Kernels(&count);
  return {tables, tables + count};
}

class Bf16KernelTest : public testing::TestWithParam<const Bf16Kernels*> {
 protected:
  const Bf16Kernels& k() const { return *GetParam(); }

  std::vector<float> Floats(size_t n) {
    std::vector<float> values(n);
    for (float& v : values) v = 2 * rng_.UniformFloat() - 1;
    return values;
  }

  struct Product {
    Axis rows, depth;
    size_t n = 0;
    bool accumulate = false, bias = false, relu = false;
    Bf16Taps taps = {};
  };

  // Against the sum in double of the rounded factors; the allowance is k eps sum|a b|.
  void Check(const Product& p) {
    const size_t m = p.rows.size(), steps = p.depth.size(), ldc = p.n + 3, taps = p.taps.h * p.taps.w;
    size_t a_size = 0;
    for (size_t i = 0; i < m; ++i) {
      for (size_t s = 0; s < steps; ++s) a_size = std::max(a_size, At(p.rows, i) + At(p.depth, s) + 1);
    }
    a_size += (p.taps.h - 1) * p.taps.a_h + (p.taps.w - 1) * p.taps.a_w;
    std::vector<Bf16> a(a_size + kBf16Slack, 0);
    for (size_t i = 0; i < a_size; ++i) a[i] = Rounded(2 * rng_.UniformFloat() - 1);
    const std::vector<float> b = Floats(steps * p.n), bias = Floats(p.n);
    std::vector<Bf16> packed = PackAll(b, p.depth, p.n);
    const size_t c_size = (taps - 1) * p.taps.c + (m == 0 ? 0 : (m - 1) * ldc + p.n);
    Guarded c(c_size, 1, &rng_);
    const Guarded before = c;
    Bf16Args args;
    args.a = a.data(), args.rows = p.rows, args.depth = p.depth, args.b = packed.data(), args.n = p.n;
    args.c = c.data(), args.ldc = ldc, args.accumulate = p.accumulate, args.bias = p.bias ? bias.data() : nullptr;
    args.relu = p.relu, args.taps = p.taps;
    k().gemm(args);
    ASSERT_TRUE(c.guards_stand());
    std::vector<bool> touched(c_size, false);
    for (size_t tap = 0; tap < taps; ++tap) {
      const Bf16* from = a.data() + tap / p.taps.w * p.taps.a_h + tap % p.taps.w * p.taps.a_w;
      for (size_t i = 0; i < m; ++i) {
        for (size_t j = 0; j < p.n; ++j) {
          const size_t at = tap * p.taps.c + i * ldc + j;
          touched[at] = true;
          double want = p.accumulate ? before[at] : p.bias ? bias[j] : 0, size = std::fabs(want);
          for (size_t s = 0; s < steps; ++s) {
            const double x = ToFloat(from[At(p.rows, i) + At(p.depth, s)]);
            const double term = x * static_cast<double>(ToFloat(Rounded(b[s * p.n + j])));
            want += term, size += std::fabs(term);
          }
          if (p.relu && want < 0) want = 0;
          ASSERT_NEAR(want, static_cast<double>(c[at]), SumTolerance(steps, size))
              << "m=" << m << " n=" << p.n << " k=" << steps << " i=" << i << " j=" << j << " tap=" << tap;
        }
      }
    }
    for (size_t i = 0; i < c_size; ++i) {
      ASSERT_TRUE(touched[i] || before[i] == c[i]) << "between rows, at " << i;
    }
  }

  // B [depth, n] as all panels of a product take it, through the kernel under test.
  std::vector<Bf16> PackAll(const std::vector<float>& b, const Axis& depth, size_t n) {
    const size_t run = RoundUp(depth.inner, kBf16Group), all = run * depth.outer;
    std::vector<Bf16> packed(RoundUp(n, kBf16Panel) * all);
    for (size_t j = 0; j < n; j += kBf16Panel) {
      std::vector<const float*> rows(all, nullptr);
      for (size_t s = 0; s < depth.size(); ++s) rows[s / depth.inner * run + s % depth.inner] = b.data() + s * n + j;
      k().pack(rows.data(), all, std::min(kBf16Panel, n - j), packed.data() + j * all);
    }
    return packed;
  }

  Rng rng_{uint64_t{21}};
};

TEST_P(Bf16KernelTest, ConvertRoundsToNearestEvenAndKeepsNanAndInfinity) {
  std::vector<float> values = Floats(1000);
  for (const float v : {1.0f, 1.00390625f, 1.01171875f, 1.0039063f, 3.3895314e38f, FLT_MAX, kInfinity, -kInfinity, 0.0f,
                        -0.0f, FLT_MIN, 1e-30f}) {
    values.push_back(v);
  }
  std::vector<Bf16> out(values.size() + 1, kGuard);
  k().convert(values.data(), values.size(), out.data());
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(Rounded(values[i]), out[i]) << values[i];
  ASSERT_EQ(kGuard, out.back());
  Bf16 nan = 0;
  k().convert(&kNan, 1, &nan);
  EXPECT_TRUE(std::isnan(ToFloat(nan)));
  const float denormal = 1e-40f;
  Bf16 flushed = 1;
  k().convert(&denormal, 1, &flushed);
  EXPECT_EQ(0, flushed);
}

TEST_P(Bf16KernelTest, ConvertTouchesWhatItShouldForEverySizeAndSkew) {
  for (size_t n = 0; n < 70; ++n) {
    for (const size_t skew : {size_t{0}, size_t{1}, size_t{3}}) {
      const std::vector<float> values = Floats(n + skew);
      std::vector<Bf16> out(n + skew + 1, kGuard);
      k().convert(values.data() + skew, n, out.data() + skew);
      for (size_t i = 0; i < n; ++i) ASSERT_EQ(Rounded(values[skew + i]), out[skew + i]);
      ASSERT_EQ(kGuard, out.back());
      for (size_t i = 0; i < skew; ++i) ASSERT_EQ(kGuard, out[i]);
    }
  }
}

TEST_P(Bf16KernelTest, TransposeMovesEveryElementAndNoOther) {
  for (const size_t rows : {size_t{0}, size_t{1}, size_t{14}, size_t{16}, size_t{17}, size_t{33}}) {
    for (const size_t cols : {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{32}, size_t{35}}) {
      const size_t ldf = cols + 2, ldt = rows + 3;
      const std::vector<float> from = Floats(rows * ldf + 1);
      std::vector<Bf16> to(cols * ldt + 1, kGuard);
      k().transpose(from.data(), rows, cols, ldf, to.data(), ldt);
      for (size_t i = 0; i < to.size(); ++i) {
        const size_t r = i % ldt, c = i / ldt;
        ASSERT_EQ(c < cols && r < rows ? Rounded(from[r * ldf + c]) : kGuard, to[i]) << rows << "x" << cols;
      }
    }
  }
}

TEST_P(Bf16KernelTest, PackPairsNeighboursOfTheDepth) {
  const std::vector<float> values = Floats(64 * 40);
  std::vector<const float*> rows(64, nullptr);
  for (size_t i = 0; i < 64; ++i) {
    if (i % 5 != 3) rows[i] = values.data() + i * 40;  // some rows are zeros
  }
  for (const size_t columns : {size_t{1}, size_t{15}, size_t{16}, size_t{17}, size_t{32}}) {
    std::vector<Bf16> out(2 * kBf16GroupSize + 1, kGuard);
    k().pack(rows.data(), 64, columns, out.data());
    for (size_t i = 0; i < 2 * kBf16GroupSize; ++i) {
      const size_t group = i / kBf16GroupSize, in_group = i % kBf16GroupSize;
      const size_t vector = in_group / 512, pair = in_group % 512 / 32, column = in_group % 32 / 2, half = i % 2;
      const size_t step = group * 32 + 2 * pair + half, j = vector * 16 + column;
      const Bf16 want = j < columns && rows[step] != nullptr ? Rounded(rows[step][j]) : 0;
      ASSERT_EQ(want, out[i]) << i << " of " << columns << " columns";
    }
    ASSERT_EQ(kGuard, out.back());
  }
}

TEST_P(Bf16KernelTest, MatchesTheSumInDoubleForAllSizes) {
  for (const size_t m : {size_t{1}, size_t{7}, size_t{15}, size_t{16}, size_t{17}, size_t{29}, size_t{33}}) {
    for (const size_t n : {size_t{1}, size_t{15}, size_t{16}, size_t{17}, size_t{32}, size_t{33}, size_t{70}}) {
      for (const size_t steps : {size_t{1}, size_t{2}, size_t{31}, size_t{32}, size_t{33}, size_t{100}}) {
        Check({.rows = {m, steps}, .depth = {steps, 1, 1, 0}, .n = n, .bias = true});
      }
    }
  }
}

TEST_P(Bf16KernelTest, StartsFromZeroBiasOrC) {
  for (const size_t n : {size_t{32}, size_t{37}, size_t{64}}) {
    Check({.rows = {28, 90}, .depth = {90, 1, 1, 0}, .n = n});
    Check({.rows = {28, 90}, .depth = {90, 1, 1, 0}, .n = n, .accumulate = true});
    Check({.rows = {28, 90}, .depth = {90, 1, 1, 0}, .n = n, .accumulate = true, .bias = true});
    Check({.rows = {28, 90}, .depth = {90, 1, 1, 0}, .n = n, .bias = true, .relu = true});
    Check({.rows = {28, 90}, .depth = {90, 1, 1, 0}, .n = n, .relu = true});
    Check({.rows = {28, 90}, .depth = {90, 1, 1, 0}, .n = n, .accumulate = true, .relu = true});
  }
}

TEST_P(Bf16KernelTest, WalksImagesAndTaps) {
  // A convolution 5 x 3 over 4 channels, stride (2, 1), and one with runs longer than a group.
  Check({.rows = {14, 4, 6, 2 * 72}, .depth = {12, 1, 5, 72}, .n = 33, .bias = true, .relu = true});
  Check({.rows = {29, 20, 3, 700}, .depth = {60, 1, 3, 700}, .n = 64, .bias = true});
  // Its kernel gradient: channels, one run of pixels, moved by taps.
  Check(
      {.rows = {18, 200}, .depth = {100, 1, 1, 0}, .n = 32, .accumulate = true, .taps = {5, 3, 18, 1, 18 * (32 + 3)}});
  Check({.rows = {5, 1}, .depth = {130, 1, 1, 0}, .n = 35, .accumulate = true, .taps = {3, 1, 20, 0, 5 * 38}});
}

TEST_P(Bf16KernelTest, NoRowsOrColumnsIsNothing) {
  Check({.rows = {0, 1}, .depth = {5, 1, 1, 0}, .n = 9});
  Check({.rows = {3, 5}, .depth = {5, 1, 1, 0}, .n = 0});
}

TEST_P(Bf16KernelTest, NanAndInfinityTravelThroughRelu) {
  std::vector<Bf16> a(2 + kBf16Slack, 0);
  a[0] = Rounded(kNan), a[1] = Rounded(kInfinity);
  const std::vector<float> b = {2.0f};
  const std::vector<Bf16> packed = PackAll(b, {1, 1, 1, 0}, 1);
  float c[2] = {};
  for (const size_t row : {size_t{0}, size_t{1}}) {
    Bf16Args args;
    std::vector<Bf16> one(1 + kBf16Slack, 0);
    one[0] = a[row];
    args.a = one.data(), args.rows = {1, 1}, args.depth = {1, 1, 1, 0}, args.b = packed.data(), args.n = 1;
    args.c = c + row, args.ldc = 1, args.relu = true;
    k().gemm(args);
  }
  EXPECT_TRUE(std::isnan(c[0]));
  EXPECT_EQ(kInfinity, c[1]);
}

TEST_P(Bf16KernelTest, ResultOfARowDoesNotDependOnItsNeighbours) {
  const size_t steps = 200, n = 64, m = 47;
  std::vector<Bf16> a(m * steps + kBf16Slack, 0);
  for (size_t i = 0; i < m * steps; ++i) a[i] = Rounded(2 * rng_.UniformFloat() - 1);
  const std::vector<float> b = Floats(steps * n);
  const std::vector<Bf16> packed = PackAll(b, {steps, 1, 1, 0}, n);
  std::vector<float> whole(m * n), one(n);
  Bf16Args args;
  args.a = a.data(), args.rows = {m, steps}, args.depth = {steps, 1, 1, 0}, args.b = packed.data(), args.n = n;
  args.c = whole.data(), args.ldc = n;
  k().gemm(args);
  for (size_t row = 0; row < m; ++row) {
    Bf16Args alone = args;
    alone.a = a.data() + row * steps, alone.rows = {1, steps}, alone.c = one.data();
    k().gemm(alone);
    for (size_t j = 0; j < n; ++j) ASSERT_EQ(whole[row * n + j], one[j]) << row << ", " << j;
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Bf16KernelTest);  // a CPU without either set
INSTANTIATE_TEST_SUITE_P(Isas, Bf16KernelTest, testing::ValuesIn(AllBf16Kernels()),
                         [](const auto& variant) { return std::string(variant.param->isa); });

// --- The choice.

std::vector<std::string> Chosen(const Bf16Support& support) {
  const Bf16Kernels* tables[2] = {};
  const size_t count = ChooseBf16(support, tables);
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.emplace_back(tables[i]->isa);
  return names;
}

#if defined(__x86_64__)
using Names = std::vector<std::string>;

TEST(Bf16ChoiceTest, TilesNeedTheCpuTheSystemAndItsLeave) {
  EXPECT_EQ((Names{"amx", "avx512bf16"}), Chosen({.avx512bf16 = true, .amx = true, .tiles_granted = true}));
  EXPECT_EQ((Names{"avx512bf16"}), Chosen({.avx512bf16 = true, .amx = true, .tiles_granted = false}));
  EXPECT_EQ((Names{"avx512bf16"}), Chosen({.avx512bf16 = true, .amx = false, .tiles_granted = true}));
  EXPECT_EQ(Names{}, Chosen({.avx512bf16 = false, .amx = true, .tiles_granted = true}));
  EXPECT_EQ(Names{}, Chosen({}));
}
#else
TEST(Bf16ChoiceTest, ThereIsNone) { EXPECT_TRUE(Chosen(DetectBf16()).empty()); }
#endif

}  // namespace
}  // namespace tributary::nn
