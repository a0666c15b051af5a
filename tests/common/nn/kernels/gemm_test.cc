#include <cmath>
#include <limits>

#include "common/nn/kernels/conv2d_ref.h"
#include "tests/common/nn/kernels/kernel_fixture.h"

namespace tributary::nn {
namespace {

class GemmTest : public KernelTest {
 protected:
  static size_t At(const Axis& axis, size_t i) {
    return i / axis.inner * axis.outer_stride + i % axis.inner * axis.inner_stride;
  }

  // Runs the kernel and compares every element with the sum in double; the allowance is k eps sum|a b|.
  void Check(const Axis& rows, const Axis& depth, size_t n, size_t skew, bool accumulate, bool use_bias, bool relu) {
    const size_t m = rows.size(), steps = depth.size(), ldb = n + skew, ldc = n + 2 * skew;
    size_t a_size = 0;
    for (size_t i = 0; i < m; ++i) {
      for (size_t s = 0; s < steps; ++s) a_size = std::max(a_size, At(rows, i) + At(depth, s) + 1);
    }
    const Guarded a(a_size, skew, &rng_), bias(n, skew, &rng_);
    const Guarded b(steps == 0 ? 0 : (steps - 1) * ldb + n, skew, &rng_);
    Guarded c(m == 0 ? 0 : (m - 1) * ldc + n, skew, &rng_);
    const Guarded before = c;
    Guarded scratch(k().gemm_scratch, 0);
    GemmArgs args;
    args.a = a.data(), args.rows = rows, args.depth = depth;
    args.b = b.data(), args.ldb = ldb, args.n = n;
    args.c = c.data(), args.ldc = ldc;
    args.accumulate = accumulate, args.bias = use_bias ? bias.data() : nullptr, args.relu = relu;
    k().gemm(args, scratch.data());
    ASSERT_TRUE(c.guards_stand() && scratch.guards_stand());
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < n; ++j) {
        double want = accumulate ? before[i * ldc + j] : use_bias ? bias[j] : 0;
        double size = std::fabs(want);
        for (size_t s = 0; s < steps; ++s) {
          const double term = static_cast<double>(a[At(rows, i) + At(depth, s)]) * static_cast<double>(b[s * ldb + j]);
          want += term;
          size += std::fabs(term);
        }
        if (relu && want < 0) want = 0;
        ASSERT_NEAR(want, static_cast<double>(c[i * ldc + j]), SumTolerance(steps, size))
            << "m=" << m << " n=" << n << " k=" << steps << " i=" << i << " j=" << j;
      }
      for (size_t j = n; j < ldc && i + 1 < m; ++j) ASSERT_EQ(before[i * ldc + j], c[i * ldc + j]) << "between rows";
    }
  }
};

TEST_P(GemmTest, MatchesTheSumInDoubleForAllSizes) {
  for (const size_t m : {size_t{1}, size_t{5}, size_t{6}, size_t{7}, size_t{8}, size_t{9}, size_t{17}}) {
    for (const size_t n : Sizes()) {
      if (n > 100) continue;
      for (const size_t steps : {size_t{0}, size_t{1}, size_t{3}, size_t{255}, size_t{256}, size_t{257}}) {
        Check({m, steps}, {steps, 1}, n, m % 3, false, true, false);
      }
    }
  }
}

TEST_P(GemmTest, StartsFromZeroBiasOrC) {
  for (const size_t skew : Skews()) {
    for (const size_t steps : {size_t{10}, size_t{600}}) {
      Check({11, steps}, {steps, 1}, 37, skew, false, false, false);
      Check({11, steps}, {steps, 1}, 37, skew, true, false, false);
      Check({11, steps}, {steps, 1}, 37, skew, true, true, false);
      Check({11, steps}, {steps, 1}, 37, skew, false, true, true);
    }
  }
}

TEST_P(GemmTest, WalksTransposedAndTwoStepAxes) {
  Check({13, 1}, {20, 13}, 33, 1, false, false, false);                 // A transposed
  Check({4, 6, 5, 50}, {6, 1, 3, 25}, 35, 0, false, true, true);        // a convolution's shape
  Check({6, 1, 3, 25}, {4, 6, 5, 50}, 35, 1, true, false, false);       // its kernel gradient's
  Check({3, 7, 2, 400}, {300, 1, 2, 900}, 33, 0, false, false, false);  // inner runs longer than a block
  Check({3, 7, 2, 400}, {100, 1, 7, 103}, 33, 0, false, false, false);  // runs that do not fill blocks evenly
}

TEST_P(GemmTest, WholePanelsAreUsedInPlace) {
  const size_t panel = k().gemm_panel;
  Check({19, 40}, {40, 1}, panel, 0, false, true, false);
  Check({19, 300}, {300, 1}, panel, 0, false, true, true);
  Check({19, 40}, {40, 1}, 3 * panel, 0, false, true, false);
}

TEST_P(GemmTest, NoRowsOrColumnsIsNothing) {
  Check({0, 1}, {5, 1}, 9, 0, false, true, false);
  Check({3, 5}, {5, 1}, 0, 0, false, true, false);
}

TEST_P(GemmTest, NanAndInfinityTravelThroughRelu) {
  const float a[2] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
  const float b[1] = {2};
  float c[2] = {};
  std::vector<float> scratch(k().gemm_scratch);
  GemmArgs args;
  args.a = a, args.rows = {2, 1}, args.depth = {1, 1}, args.b = b, args.ldb = 1, args.n = 1, args.c = c, args.ldc = 1;
  args.relu = true;
  k().gemm(args, scratch.data());
  EXPECT_TRUE(std::isnan(c[0]));
  EXPECT_EQ(a[1], c[1]);
}

TEST_P(GemmTest, ResultOfAnElementDoesNotDependOnItsNeighbours) {
  // The same row and column alone and among others: the same bits, so tasks may cut where they like.
  const size_t steps = 300, n = 2 * k().gemm_panel;
  const Guarded a(20 * steps, 0, &rng_), b(steps * n, 0, &rng_);
  std::vector<float> scratch(k().gemm_scratch), whole(20 * n);
  GemmArgs args;
  args.a = a.data(), args.rows = {20, steps}, args.depth = {steps, 1};
  args.b = b.data(), args.ldb = n, args.n = n, args.c = whole.data(), args.ldc = n;
  k().gemm(args, scratch.data());
  for (const size_t row : {size_t{0}, size_t{9}, size_t{19}}) {
    for (size_t column = 0; column < n; column += k().gemm_panel) {
      float one[64];
      GemmArgs part = args;
      part.a = a.data() + row * steps, part.rows = {1, steps};
      part.b = b.data() + column, part.n = 1, part.c = one, part.ldc = 1;
      k().gemm(part, scratch.data());
      EXPECT_EQ(whole[row * n + column], one[0]);
    }
  }
}

TEST_P(GemmTest, TransposeMovesEveryElementAndNoOther) {
  for (const size_t rows : {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{33}}) {
    for (const size_t cols : {size_t{0}, size_t{1}, size_t{17}, size_t{32}}) {
      const size_t lds = cols + 2, ldd = rows + 3;
      const Guarded src(rows * lds, 1, &rng_);
      Guarded dst(cols * ldd, 1, -7.0f);
      k().transpose(src.data(), rows, cols, lds, dst.data(), ldd);
      ASSERT_TRUE(dst.guards_stand());
      for (size_t i = 0; i < cols * ldd; ++i) {
        const size_t r = i % ldd, c = i / ldd;
        ASSERT_EQ(r < rows ? src[r * lds + c] : -7.0f, dst[i]);
      }
    }
  }
}

TRB_ON_EVERY_ISA(GemmTest);

}  // namespace
}  // namespace tributary::nn
