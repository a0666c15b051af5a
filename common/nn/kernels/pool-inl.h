// Pools of kernels.h, per instruction set: vectors run over channels. Included once per Highway target, only by
// kernels_simd.cc, after elementwise-inl.h.
#if defined(TRIBUTARY_NN_POOL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TRIBUTARY_NN_POOL_INL_H_
#undef TRIBUTARY_NN_POOL_INL_H_
#else
#define TRIBUTARY_NN_POOL_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "common/nn/kernels/elementwise-inl.h"
#include "common/nn/kernels/kernels.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tributary::nn {
namespace HWY_NAMESPACE {
namespace {

using DI = hn::RebindToSigned<D>;
using DU16 = hn::Rebind<uint16_t, D>;
using VI = hn::Vec<DI>;

// The part of a window that lies on the image.
struct Clip {
  size_t y0, y1, x0, x1;  // rows and columns of the image, end exclusive
  ptrdiff_t top, left;    // where the window begins; may be negative
  size_t area() const { return (y1 - y0) * (x1 - x0); }
};

HWY_INLINE Clip ClipWindow(const PoolArgs& args, size_t oy, size_t ox) {
  Clip clip;
  clip.top = static_cast<ptrdiff_t>(oy * args.stride_h) - static_cast<ptrdiff_t>(args.pad_top);
  clip.left = static_cast<ptrdiff_t>(ox * args.stride_w) - static_cast<ptrdiff_t>(args.pad_left);
  clip.y0 = static_cast<size_t>(HWY_MAX(clip.top, 0));
  clip.x0 = static_cast<size_t>(HWY_MAX(clip.left, 0));
  clip.y1 = HWY_MIN(args.in_h, static_cast<size_t>(clip.top + static_cast<ptrdiff_t>(args.window_h)));
  clip.x1 = HWY_MIN(args.in_w, static_cast<size_t>(clip.left + static_cast<ptrdiff_t>(args.window_w)));
  return clip;
}

// The place in the window of image element (y, x).
HWY_INLINE int32_t Place(const PoolArgs& args, const Clip& clip, size_t y, size_t x) {
  const ptrdiff_t row = static_cast<ptrdiff_t>(y) - clip.top, column = static_cast<ptrdiff_t>(x) - clip.left;
  return static_cast<int32_t>(row * static_cast<ptrdiff_t>(args.window_w) + column);
}

HWY_INLINE V LoadChannels(const float* from, size_t count) {
  return count == kLane ? hn::LoadU(D(), from) : LoadPart(from, count, 0.0f);
}
HWY_INLINE void StoreChannels(V v, size_t count, float* to) {
  if (count == kLane) {
    hn::StoreU(v, D(), to);
  } else {
    StorePart(v, count, to);
  }
}

HWY_INLINE void StoreIndex(VI index, size_t count, uint16_t* to) {
  const auto narrow = hn::DemoteTo(DU16(), index);
  if (count == kLane) {
    hn::StoreU(narrow, DU16(), to);
    return;
  }
  HWY_ALIGN uint16_t padded[HWY_MAX(kLane, size_t{8})];
  hn::Store(narrow, DU16(), padded);
  for (size_t i = 0; i < count; ++i) to[i] = padded[i];
}
HWY_INLINE VI LoadIndex(const uint16_t* from, size_t count) {
  if (count == kLane) return hn::PromoteTo(DI(), hn::LoadU(DU16(), from));
  HWY_ALIGN uint16_t padded[HWY_MAX(kLane, size_t{8})] = {};
  for (size_t i = 0; i < count; ++i) padded[i] = from[i];
  return hn::PromoteTo(DI(), hn::Load(DU16(), padded));
}

HWY_INLINE void MaxOfWindow(const PoolArgs& args, const Clip& clip, const float* x, size_t count, float* y,
                            uint16_t* index) {
  const size_t row = args.in_w * args.channels;
  V best = LoadChannels(x + clip.y0 * row + clip.x0 * args.channels, count);
  VI place = hn::Set(DI(), Place(args, clip, clip.y0, clip.x0));
  for (size_t iy = clip.y0; iy < clip.y1; ++iy) {
    for (size_t ix = clip.x0; ix < clip.x1; ++ix) {
      const V v = LoadChannels(x + iy * row + ix * args.channels, count);
      // Not (v <= best): larger, or NaN. The first NaN stays.
      const auto take = hn::AndNot(hn::Le(v, best), hn::Eq(best, best));
      best = hn::IfThenElse(take, v, best);
      place = hn::IfThenElse(hn::RebindMask(DI(), take), hn::Set(DI(), Place(args, clip, iy, ix)), place);
    }
  }
  StoreChannels(best, count, y);
  if (index != nullptr) StoreIndex(place, count, index);
}

void MaxPool(const PoolArgs& args, const float* x, float* y, uint16_t* index) {
  for (size_t oy = 0; oy < args.out_h; ++oy) {
    for (size_t ox = 0; ox < args.out_w; ++ox) {
      const Clip clip = ClipWindow(args, oy, ox);
      for (size_t c = 0; c < args.channels; c += kLane) {
        MaxOfWindow(args, clip, x + c, HWY_MIN(kLane, args.channels - c), y + c,
                    index == nullptr ? nullptr : index + c);
      }
      y += args.channels;
      if (index != nullptr) index += args.channels;
    }
  }
}

HWY_INLINE void Clear(float* x, size_t n) {
  size_t i = 0;
  for (; i + kLane <= n; i += kLane) hn::StoreU(hn::Zero(D()), D(), x + i);
  for (; i < n; ++i) x[i] = 0.0f;
}

// No element of the image lies in two windows.
HWY_INLINE bool WindowsApart(const PoolArgs& args) {
  return args.stride_h >= args.window_h && args.stride_w >= args.window_w;
}
// Every element lies in one window.
HWY_INLINE bool WindowsTile(const PoolArgs& args) {
  return args.stride_h == args.window_h && args.stride_w == args.window_w && args.pad_top == 0 && args.pad_left == 0 &&
         args.out_h * args.window_h == args.in_h && args.out_w * args.window_w == args.in_w;
}

// `count` channels of one window: dy to its place, on top of what other windows put there, or (kAlone) as all there is.
template <bool kAlone>
HWY_INLINE void MaxToWindow(const PoolArgs& args, const Clip& clip, V value, VI place, size_t count, float* dx) {
  for (size_t iy = clip.y0; iy < clip.y1; ++iy) {
    for (size_t ix = clip.x0; ix < clip.x1; ++ix) {
      float* to = dx + (iy * args.in_w + ix) * args.channels;
      const auto here = hn::Eq(place, hn::Set(DI(), Place(args, clip, iy, ix)));
      const V part = hn::IfThenElseZero(hn::RebindMask(D(), here), value);
      StoreChannels(kAlone ? part : hn::Add(LoadChannels(to, count), part), count, to);
    }
  }
}

void MaxPoolBackward(const PoolArgs& args, const float* dy, const uint16_t* index, float* dx) {
  if (!WindowsTile(args)) Clear(dx, args.in_h * args.in_w * args.channels);
  const bool alone = WindowsApart(args);
  for (size_t oy = 0; oy < args.out_h; ++oy) {
    for (size_t ox = 0; ox < args.out_w; ++ox) {
      const Clip clip = ClipWindow(args, oy, ox);
      for (size_t c = 0; c < args.channels; c += kLane) {
        const size_t count = HWY_MIN(kLane, args.channels - c);
        const V value = LoadChannels(dy + c, count);
        const VI place = LoadIndex(index + c, count);
        if (alone) {
          MaxToWindow<true>(args, clip, value, place, count, dx + c);
        } else {
          MaxToWindow<false>(args, clip, value, place, count, dx + c);
        }
      }
      dy += args.channels;
      index += args.channels;
    }
  }
}

void AvgPool(const PoolArgs& args, const float* x, float* y) {
  const size_t row = args.in_w * args.channels;
  for (size_t oy = 0; oy < args.out_h; ++oy) {
    for (size_t ox = 0; ox < args.out_w; ++ox, y += args.channels) {
      const Clip clip = ClipWindow(args, oy, ox);
      const V share = hn::Set(D(), 1.0f / static_cast<float>(clip.area()));
      for (size_t c = 0; c < args.channels; c += kLane) {
        const size_t count = HWY_MIN(kLane, args.channels - c);
        V sum = hn::Zero(D());
        for (size_t iy = clip.y0; iy < clip.y1; ++iy) {
          for (size_t ix = clip.x0; ix < clip.x1; ++ix) {
            sum = hn::Add(sum, LoadChannels(x + iy * row + ix * args.channels + c, count));
          }
        }
        StoreChannels(hn::Mul(sum, share), count, y + c);
      }
    }
  }
}

void AvgPoolBackward(const PoolArgs& args, const float* dy, float* dx) {
  Clear(dx, args.in_h * args.in_w * args.channels);
  const size_t row = args.in_w * args.channels;
  for (size_t oy = 0; oy < args.out_h; ++oy) {
    for (size_t ox = 0; ox < args.out_w; ++ox, dy += args.channels) {
      const Clip clip = ClipWindow(args, oy, ox);
      const V share = hn::Set(D(), 1.0f / static_cast<float>(clip.area()));
      for (size_t c = 0; c < args.channels; c += kLane) {
        const size_t count = HWY_MIN(kLane, args.channels - c);
        const V part = hn::Mul(LoadChannels(dy + c, count), share);
        for (size_t iy = clip.y0; iy < clip.y1; ++iy) {
          for (size_t ix = clip.x0; ix < clip.x1; ++ix) {
            float* to = dx + iy * row + ix * args.channels + c;
            StoreChannels(hn::Add(LoadChannels(to, count), part), count, to);
          }
        }
      }
    }
  }
}

}  // namespace
// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace tributary::nn
HWY_AFTER_NAMESPACE();

#endif  // TRIBUTARY_NN_POOL_INL_H_
