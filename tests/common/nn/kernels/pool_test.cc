#include <cfloat>
#include <cmath>
#include <limits>

#include "common/nn/kernels/pool_ref.h"
#include "tests/common/nn/kernels/kernel_fixture.h"

namespace tributary::nn {
namespace {

// in_h, in_w, out_h, out_w, channels, window, stride, pad_top, pad_left
std::vector<PoolArgs> Pools() {
  std::vector<PoolArgs> pools;
  for (const size_t c : {size_t{1}, size_t{3}, size_t{4}, size_t{8}, size_t{17}, size_t{32}, size_t{33}}) {
    pools.push_back({6, 8, 3, 4, c, 2, 2, 2, 2, 0, 0});        // plain
    pools.push_back({7, 9, 3, 4, c, 2, 2, 2, 2, 0, 0});        // valid: a row and a column left over
    pools.push_back({7, 9, 4, 5, c, 2, 2, 2, 2, 0, 0});        // same: the odd padding at the end
    pools.push_back({5, 6, 5, 3, c, 3, 5, 1, 2, 1, 1});        // overlapping, padded on both sides
    pools.push_back({9, 10, 3, 3, c, 1, 2, 3, 4, 0, 0});       // gaps between windows
    pools.push_back({1, 1, 1, 1, c, 3, 3, 1, 1, 1, 1});        // mostly padding
    pools.push_back({20, 17, 1, 1, c, 20, 17, 20, 17, 0, 0});  // the whole image, more than 255 places
  }
  return pools;
}

class PoolTest : public KernelTest {};

TEST_P(PoolTest, MaxMatchesTheReferenceExactly) {
  for (const PoolArgs& p : Pools()) {
    const size_t in = p.in_h * p.in_w * p.channels, out = p.out_h * p.out_w * p.channels;
    const Guarded x(in, 1, &rng_), dy(out, 3, &rng_);
    Guarded y(out, 2), dx(in, 1, 99.0f), want(out), want_dx(in);
    std::vector<uint16_t> index(out + 1, 7777), want_index(out);
    k().max_pool(p, x.data(), y.data(), index.data());
    ref::MaxPool(p, x.data(), want.data(), want_index.data());
    k().max_pool_backward(p, dy.data(), index.data(), dx.data());
    ref::MaxPoolBackward(p, dy.data(), want_index.data(), want_dx.data());
    ASSERT_TRUE(y.guards_stand() && dx.guards_stand());
    ASSERT_EQ(7777, index[out]);
    for (size_t i = 0; i < out; ++i) {
      ASSERT_EQ(want[i], y[i]);
      ASSERT_EQ(want_index[i], index[i]);
    }
    for (size_t i = 0; i < in; ++i) ASSERT_NEAR(want_dx[i], dx[i], 8 * FLT_EPSILON) << i;
    Guarded again(out);
    k().max_pool(p, x.data(), again.data(), nullptr);
    for (size_t i = 0; i < out; ++i) ASSERT_EQ(y[i], again[i]);
  }
}

TEST_P(PoolTest, AverageMatchesTheReference) {
  for (const PoolArgs& p : Pools()) {
    const size_t in = p.in_h * p.in_w * p.channels, out = p.out_h * p.out_w * p.channels;
    const Guarded x(in, 1, &rng_), dy(out, 3, &rng_);
    Guarded y(out, 2), dx(in, 1, 99.0f), want(out), want_dx(in);
    k().avg_pool(p, x.data(), y.data());
    ref::AvgPool(p, x.data(), want.data());
    k().avg_pool_backward(p, dy.data(), dx.data());
    ref::AvgPoolBackward(p, dy.data(), want_dx.data());
    ASSERT_TRUE(y.guards_stand() && dx.guards_stand());
    const float allowed = static_cast<float>(p.window_h * p.window_w) * FLT_EPSILON;
    for (size_t i = 0; i < out; ++i) ASSERT_NEAR(want[i], y[i], allowed);
    for (size_t i = 0; i < in; ++i) ASSERT_NEAR(want_dx[i], dx[i], 8 * FLT_EPSILON) << i;
  }
}

TEST_P(PoolTest, FirstOfEqualsGetsTheGradient) {
  const PoolArgs p = {2, 2, 1, 1, 5, 2, 2, 2, 2, 0, 0};
  std::vector<float> x(20, 1.0f), y(5), dx(20), dy(5, 1.0f);
  std::vector<uint16_t> index(5);
  k().max_pool(p, x.data(), y.data(), index.data());
  k().max_pool_backward(p, dy.data(), index.data(), dx.data());
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(i < 5 ? 1.0f : 0.0f, dx[i]);
}

TEST_P(PoolTest, NanWinsWhereverItStands) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const PoolArgs p = {2, 2, 1, 1, 5, 2, 2, 2, 2, 0, 0};
  for (size_t at = 0; at < 4; ++at) {
    std::vector<float> x(20, kInf), y(5);
    x[at * 5 + 2] = kNan;
    std::vector<uint16_t> index(5);
    k().max_pool(p, x.data(), y.data(), index.data());
    EXPECT_TRUE(std::isnan(y[2])) << at;
    EXPECT_EQ(at, index[2]);
    EXPECT_EQ(kInf, y[1]);
    k().avg_pool(p, x.data(), y.data());
    EXPECT_TRUE(std::isnan(y[2])) << at;
  }
}

TEST_P(PoolTest, AllMinusInfinityIsMinusInfinityAtTheFirstPlace) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const PoolArgs p = {2, 2, 2, 2, 1, 2, 2, 1, 1, 1, 1};  // padded before
  std::vector<float> x(4, -kInf), y(4);
  std::vector<uint16_t> index(4);
  k().max_pool(p, x.data(), y.data(), index.data());
  for (const float v : y) EXPECT_EQ(-kInf, v);
  EXPECT_EQ(3, index[0]) << "the only place on the image";
}

TRB_ON_EVERY_ISA(PoolTest);

}  // namespace
}  // namespace tributary::nn
