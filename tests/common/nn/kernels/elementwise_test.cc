#include <cfloat>
#include <cmath>
#include <limits>

#include "common/nn/kernels/activation_ref.h"
#include "common/nn/kernels/loss_ref.h"
#include "common/nn/kernels/optimizer_ref.h"
#include "tests/common/nn/kernels/kernel_fixture.h"

namespace tributary::nn {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class ElementwiseTest : public KernelTest {
 protected:
  // f on every size and start, against `want` in double, within `ulps` of the larger of the value and 1e-30.
  template <class Want>
  void CheckMap(void (*f)(float*, size_t), const Want& want, double range, double ulps) {
    for (const size_t n : Sizes()) {
      for (const size_t skew : Skews()) {
        Guarded y(n, skew, &rng_);
        for (size_t i = 0; i < n; ++i) y[i] *= static_cast<float>(range);
        const Guarded x = y;
        f(y.data(), n);
        ASSERT_TRUE(y.guards_stand()) << n;
        for (size_t i = 0; i < n; ++i) {
          const double expected = want(static_cast<double>(x[i]));
          ASSERT_NEAR(expected, static_cast<double>(y[i]), ulps * FLT_EPSILON * std::fabs(expected) + 1e-37) << x[i];
        }
      }
    }
  }

  template <class Want>
  void CheckMap2(void (*f)(const float*, float*, size_t), const Want& want) {
    for (const size_t n : Sizes()) {
      for (const size_t skew : Skews()) {
        const Guarded y(n, 3 - skew, &rng_);
        Guarded dy(n, skew, &rng_);
        const Guarded before = dy;
        f(y.data(), dy.data(), n);
        ASSERT_TRUE(dy.guards_stand()) << n;
        for (size_t i = 0; i < n; ++i) {
          ASSERT_NEAR(want(static_cast<double>(y[i]), static_cast<double>(before[i])), static_cast<double>(dy[i]),
                      4 * FLT_EPSILON);
        }
      }
    }
  }
};

TEST_P(ElementwiseTest, ReluMatches) {
  CheckMap(
      k().relu, [](double x) { return ref::Relu(x); }, 3, 0);
}
TEST_P(ElementwiseTest, SigmoidMatches) {
  for (const double range : {0.01, 5.0, 80.0}) {
    CheckMap(
        k().sigmoid, [](double x) { return ref::Sigmoid(x); }, range, 4);
  }
}
TEST_P(ElementwiseTest, TanhMatches) {
  for (const double range : {0.001, 1.0, 8.0, 50.0}) {
    CheckMap(
        k().tanh, [](double x) { return std::tanh(x); }, range, 6);
  }
}

TEST_P(ElementwiseTest, BackwardsMatch) {
  const auto backward = [](Activation a) {
    return [a](double y, double dy) {
      ref::ActivateBackward(a, 1, &y, &dy, 1);
      return dy;
    };
  };
  CheckMap2(k().relu_backward, backward(Activation::kRelu));
  CheckMap2(k().sigmoid_backward, backward(Activation::kSigmoid));
  CheckMap2(k().tanh_backward, backward(Activation::kTanh));
}

// Published tables have some of these wrong.
TEST_P(ElementwiseTest, WorkedExamplesOfSigmoidAndTanh) {
  float s[2] = {3, -3}, t[2] = {3, -3};
  k().sigmoid(s, 2);
  k().tanh(t, 2);
  EXPECT_NEAR(0.952574, s[0], 5e-7);
  EXPECT_NEAR(0.047426, s[1], 5e-7);
  EXPECT_NEAR(0.995055, t[0], 5e-7);
  EXPECT_NEAR(-0.995055, t[1], 5e-7);
}

TEST_P(ElementwiseTest, ExtremesOfActivations) {
  const float in[] = {kNan, kInf, -kInf, FLT_MAX, -FLT_MAX, 0.0f, -0.0f, 200.0f, -200.0f};
  const float relu[] = {kNan, kInf, 0, FLT_MAX, 0, 0, 0, 200, 0};
  const float sigmoid[] = {kNan, 1, 0, 1, 0, 0.5f, 0.5f, 1, 0};
  const float tanh[] = {kNan, 1, -1, 1, -1, 0, 0, 1, -1};
  const std::pair<void (*)(float*, size_t), const float*> cases[] = {
      {k().relu, relu}, {k().sigmoid, sigmoid}, {k().tanh, tanh}};
  for (const auto& [f, want] : cases) {
    for (size_t i = 0; i < std::size(in); ++i) {
      float y[33];
      std::fill_n(y, 33, in[i]);
      f(y, 33);  // whole vectors and a tail
      for (const float v : y) {
        if (std::isnan(want[i])) {
          EXPECT_TRUE(std::isnan(v)) << in[i];
        } else if (want[i] != v) {
          EXPECT_NEAR(want[i], v, 1e-30f) << in[i];
        }
      }
    }
  }
}

TEST_P(ElementwiseTest, SoftmaxMatches) {
  for (const size_t n : Sizes()) {
    if (n == 0) continue;
    const size_t rows = 3;
    Guarded x(rows * n, 1, &rng_), y(rows * n, 0), log_sum(rows, 2);
    for (size_t i = 0; i < x.size(); ++i) x[i] *= 20;
    k().softmax(x.data(), rows, n, y.data(), log_sum.data());
    ASSERT_TRUE(y.guards_stand() && log_sum.guards_stand());
    for (size_t row = 0; row < rows; ++row) {
      const std::vector<double> in(x.data() + row * n, x.data() + (row + 1) * n);
      std::vector<double> want(n);
      ASSERT_NEAR(ref::Softmax(in.data(), n, want.data()), static_cast<double>(log_sum[row]), 1e-5);
      for (size_t j = 0; j < n; ++j) ASSERT_NEAR(want[j], static_cast<double>(y[row * n + j]), 5e-6 * want[j] + 1e-37);
    }
    Guarded in_place = x;
    k().softmax(in_place.data(), rows, n, in_place.data(), log_sum.data());
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], in_place[i]);
  }
}

TEST_P(ElementwiseTest, SoftmaxOfExtremes) {
  for (const size_t n : {size_t{2}, size_t{10}, size_t{33}}) {
    std::vector<float> x(n, -kInf), y(n);
    float log_sum = 0;
    x[n - 1] = 5;
    k().softmax(x.data(), 1, n, y.data(), &log_sum);
    EXPECT_EQ(1.0f, y[n - 1]);
    EXPECT_EQ(0.0f, y[0]);
    EXPECT_EQ(5.0f, log_sum);
    x.assign(n, 1e30f);
    k().softmax(x.data(), 1, n, y.data(), &log_sum);
    EXPECT_NEAR(1.0f / static_cast<float>(n), y[0], 1e-7f);
    for (const float bad : {kNan, kInf}) {
      for (size_t at = 0; at < n; ++at) {
        x.assign(n, 0.5f);
        x[at] = bad;
        k().softmax(x.data(), 1, n, y.data(), &log_sum);
        EXPECT_TRUE(std::isnan(y[at])) << n << " " << at;
        EXPECT_FALSE(std::isfinite(log_sum)) << n << " " << at;
      }
    }
  }
}

TEST_P(ElementwiseTest, BinaryLossMatches) {
  for (const size_t n : Sizes()) {
    for (const float range : {0.01f, 3.0f, 100.0f}) {
      Guarded z(n, 1, &rng_), target(n, 0), p(n, 2), loss(n, 3);
      for (size_t i = 0; i < n; ++i) z[i] *= range, target[i] = i % 3 == 0 ? 1.0f : 0.0f;
      k().binary_loss(z.data(), target.data(), n, p.data(), loss.data());
      ASSERT_TRUE(p.guards_stand() && loss.guards_stand());
      for (size_t i = 0; i < n; ++i) {
        double dz = 0;
        const double want = ref::BinaryCrossentropy(static_cast<double>(z[i]), static_cast<double>(target[i]), &dz);
        ASSERT_NEAR(want, static_cast<double>(loss[i]), 1e-6 * (want + 0.1)) << z[i];
        ASSERT_NEAR(dz, static_cast<double>(p[i] - target[i]), 1e-6);
      }
    }
  }
}

TEST_P(ElementwiseTest, BinaryLossOfExtremes) {
  const float z[] = {kNan, kInf, -kInf, 1000};
  const float target[] = {1, 1, 0, 0};
  float p[4], loss[4];
  k().binary_loss(z, target, 4, p, loss);
  EXPECT_TRUE(std::isnan(p[0]) && std::isnan(loss[0]));
  EXPECT_EQ(1.0f, p[1]);
  EXPECT_EQ(0.0f, p[2]);
  EXPECT_EQ(1000.0f, loss[3]) << "sure and wrong: dear, not infinite";
}

TEST_P(ElementwiseTest, SumsMatch) {
  for (const size_t n : Sizes()) {
    for (const size_t rows : {size_t{0}, size_t{1}, size_t{3}, size_t{4}, size_t{5}, size_t{50}}) {
      const Guarded x(rows * n, 1, &rng_);
      Guarded sums(n, 2, &rng_);
      const Guarded before = sums;
      k().add_rows(x.data(), rows, n, sums.data());
      ASSERT_TRUE(sums.guards_stand());
      for (size_t j = 0; j < n; ++j) {
        double want = before[j], size = std::fabs(want);
        for (size_t i = 0; i < rows; ++i) want += x[i * n + j], size += std::fabs(x[i * n + j]);
        ASSERT_NEAR(want, static_cast<double>(sums[j]), SumTolerance(rows, size));
      }
    }
    const Guarded src(n, 1, &rng_);
    Guarded dst(n, 0, &rng_);
    const Guarded before = dst;
    k().add(src.data(), n, dst.data());
    double squares = 0;
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(before[i] + src[i], dst[i]);
      squares += static_cast<double>(src[i]) * static_cast<double>(src[i]);
    }
    ASSERT_NEAR(squares, k().sum_squares(src.data(), n), 1e-12 * (1 + squares));
    k().scale(0.5f, dst.data(), n);
    ASSERT_TRUE(dst.guards_stand());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(0.5f * (before[i] + src[i]), dst[i]);
  }
}

TEST_P(ElementwiseTest, NanShowsInTheSumOfSquares) {
  std::vector<float> x(100, 1.0f);
  for (const size_t at : {size_t{0}, size_t{50}, size_t{99}}) {
    x[at] = kNan;
    EXPECT_TRUE(std::isnan(k().sum_squares(x.data(), x.size())));
    x[at] = 1;
  }
}

TEST_P(ElementwiseTest, OptimizerStepsMatch) {
  const float lr = 0.01f, decay = 0.002f;
  for (const size_t n : Sizes()) {
    for (const size_t skew : Skews()) {
      const Guarded g(n, skew, &rng_), start(n, 0, &rng_);
      Guarded sgd = start, momentum = start, adam = start, velocity(n, 1), m(n, 2), v(n, 3);
      std::vector<double> w1(n), w2(n), w3(n), rv(n), rm(n), r2(n);
      for (size_t i = 0; i < n; ++i) w1[i] = w2[i] = w3[i] = start[i];
      for (uint64_t t = 1; t <= 3; ++t) {
        const double correction = std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
        k().sgd(lr, decay, g.data(), sgd.data(), n);
        k().momentum(lr, decay, g.data(), velocity.data(), momentum.data(), n);
        k().adam({static_cast<float>(static_cast<double>(lr) * correction), decay}, g.data(), m.data(), v.data(),
                 adam.data(), n);
        for (size_t i = 0; i < n; ++i) {
          const double grad = g[i], rate = lr, less = decay;
          ref::Sgd(rate, less, grad, &w1[i]);
          ref::Momentum(rate, less, grad, &rv[i], &w2[i]);
          ref::Adam(rate, less, t, grad, &rm[i], &r2[i], &w3[i]);
        }
      }
      ASSERT_TRUE(sgd.guards_stand() && momentum.guards_stand() && adam.guards_stand());
      ASSERT_TRUE(velocity.guards_stand() && m.guards_stand() && v.guards_stand());
      for (size_t i = 0; i < n; ++i) {
        ASSERT_NEAR(w1[i], static_cast<double>(sgd[i]), 6 * FLT_EPSILON);
        ASSERT_NEAR(w2[i], static_cast<double>(momentum[i]), 6 * FLT_EPSILON);
        ASSERT_NEAR(w3[i], static_cast<double>(adam[i]), 5e-7) << g[i];
      }
    }
  }
}

TEST_P(ElementwiseTest, CuttingACallChangesNoBit) {
  const Guarded g(100, 0, &rng_), start(100, 0, &rng_);
  Guarded m1(100), v1(100), w1 = start, m2(100), v2(100), w2 = start, s1 = start, s2 = start;
  k().adam({0.1f, 0.0f}, g.data(), m1.data(), v1.data(), w1.data(), 100);
  k().sigmoid(s1.data(), 100);
  for (const auto& [begin, end] : {std::pair<size_t, size_t>{0, 13}, {13, 14}, {14, 77}, {77, 100}}) {
    k().adam({0.1f, 0.0f}, g.data() + begin, m2.data() + begin, v2.data() + begin, w2.data() + begin, end - begin);
    k().sigmoid(s2.data() + begin, end - begin);
  }
  for (size_t i = 0; i < 100; ++i) {
    ASSERT_EQ(w1[i], w2[i]);
    ASSERT_EQ(s1[i], s2[i]);
  }
}

TRB_ON_EVERY_ISA(ElementwiseTest);

}  // namespace
}  // namespace tributary::nn
