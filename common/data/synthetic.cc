#include "common/data/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/random.h"
#include "common/data/source.h"

namespace tributary::data {
namespace {

struct Point {
  float x, y;  // glyph: the unit square, y down; image: pixels
};
using Stroke = std::vector<Point>;  // joined by straight lines
using Glyph = std::vector<Stroke>;

// cos of k/16 of a turn.
constexpr std::array<float, 16> kCos = {
    1.0f,  0.92387953f,  0.70710678f,  0.38268343f,  0.0f, -0.38268343f, -0.70710678f, -0.92387953f,
    -1.0f, -0.92387953f, -0.70710678f, -0.38268343f, 0.0f, 0.38268343f,  0.70710678f,  0.92387953f};

// Appends points of an ellipse, from `from` to `to` sixteenths of a turn: 0 right, 4 bottom, 8 left, 12 top.
void AddArc(Stroke* s, Point centre, Point radius, int from, int to) {
  for (int k = from; k <= to; ++k)
    s->push_back({centre.x + radius.x * kCos[k % 16], centre.y + radius.y * kCos[(k + 12) % 16]});
}

float Between(Rng* rng, float low, float high) { return low + (high - low) * rng->UniformFloat(); }

Glyph Zero() {
  Stroke s;
  AddArc(&s, {.5f, .5f}, {.27f, .4f}, 0, 16);
  return {s};
}

Glyph One(Rng* rng) {
  Glyph g = {{{.5f, .1f}, {.5f, .9f}}};
  const uint64_t style = rng->Below(4);
  if (style >= 1) g.push_back({{.36f, .27f}, {.5f, .1f}});
  if (style >= 3) g.push_back({{.34f, .9f}, {.66f, .9f}});
  return g;
}

Glyph Two() {
  Stroke s;
  AddArc(&s, {.5f, .32f}, {.25f, .22f}, 8, 18);
  s.push_back({.25f, .9f});
  s.push_back({.77f, .9f});
  return {s};
}

Glyph Three() {
  Stroke s;
  AddArc(&s, {.47f, .3f}, {.23f, .2f}, 9, 20);
  AddArc(&s, {.47f, .7f}, {.27f, .2f}, 12, 23);
  return {s};
}

Glyph Four(Rng* rng) {
  if (rng->Below(2) == 0) return {{{.6f, .1f}, {.22f, .63f}, {.8f, .63f}}, {{.6f, .1f}, {.6f, .9f}}};
  return {{{.3f, .1f}, {.26f, .55f}, {.78f, .55f}}, {{.68f, .12f}, {.66f, .9f}}};
}

Glyph Five() {
  Stroke s = {{.75f, .1f}, {.33f, .1f}, {.3f, .46f}};
  AddArc(&s, {.48f, .66f}, {.26f, .24f}, 11, 22);
  return {s};
}

Glyph Six() {
  Stroke s = {{.64f, .1f}, {.42f, .33f}, {.3f, .55f}};
  AddArc(&s, {.5f, .69f}, {.22f, .21f}, 8, 24);
  return {s};
}

Glyph Seven(Rng* rng) {
  Glyph g = {{{.22f, .12f}, {.78f, .12f}, {.42f, .9f}}};
  if (rng->Below(3) == 0) g.push_back({{.4f, .5f}, {.72f, .5f}});
  return g;
}

Glyph Eight() {
  Stroke top, bottom;
  AddArc(&top, {.5f, .3f}, {.2f, .19f}, 0, 16);
  AddArc(&bottom, {.5f, .7f}, {.25f, .21f}, 0, 16);
  return {top, bottom};
}

Glyph Nine() {
  Stroke s;
  AddArc(&s, {.5f, .31f}, {.22f, .21f}, 0, 16);
  s.push_back({.7f, .6f});
  s.push_back({.58f, .9f});
  return {s};
}

Glyph GlyphOf(int digit, Rng* rng) {
  switch (digit) {
    case 0:
      return Zero();
    case 1:
      return One(rng);
    case 2:
      return Two();
    case 3:
      return Three();
    case 4:
      return Four(rng);
    case 5:
      return Five();
    case 6:
      return Six();
    case 7:
      return Seven(rng);
    case 8:
      return Eight();
    default:
      return Nine();
  }
}

// A hand's habits: a bend of each axis along the other, then slant, turn, size and place.
class Hand {
 public:
  explicit Hand(Rng* rng)
      : bend_x_(Between(rng, -.35f, .35f)),
        bend_y_(Between(rng, -.35f, .35f)),
        shear_(Between(rng, -.3f, .3f)),
        tangent_(Between(rng, -.13f, .13f)),  // of half the angle: up to 15 degrees
        width_(Between(rng, 13.0f, 21.0f)),
        height_(Between(rng, 16.0f, 23.0f)),
        x_(13.5f + Between(rng, -3.0f, 3.0f)),
        y_(13.5f + Between(rng, -2.5f, 2.5f)) {}

  Point Place(Point p) const {
    float u = p.x - .5f, v = p.y - .5f;
    const float bent_u = u + bend_x_ * (v * v - .1f), bent_v = v + bend_y_ * (u * u - .05f);
    u = (bent_u + shear_ * bent_v) * width_;
    v = bent_v * height_;
    // A turn without sine and cosine: (1 - t^2, 2t) / (1 + t^2).
    const float norm = 1.0f / (1.0f + tangent_ * tangent_);
    const float c = (1.0f - tangent_ * tangent_) * norm, s = 2.0f * tangent_ * norm;
    return {x_ + c * u - s * v, y_ + s * u + c * v};
  }

 private:
  const float bend_x_, bend_y_, shear_, tangent_, width_, height_, x_, y_;
};

float DistanceToSegment(Point p, Point a, Point b) {
  const float dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
  float t = length2 > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / length2 : 0;
  t = std::clamp(t, 0.0f, 1.0f);
  const float ex = p.x - (a.x + t * dx), ey = p.y - (a.y + t * dy);
  return std::sqrt(ex * ex + ey * ey);
}

using Canvas = std::array<float, kDigitSide * kDigitSide>;

// Ink of a round pen of `radius`, with an edge one pixel soft; overlapping ink does not add up.
void DrawSegment(Canvas* canvas, Point a, Point b, float radius, float ink) {
  const auto clip = [](float v) { return std::clamp(static_cast<int>(v), 0, static_cast<int>(kDigitSide) - 1); };
  const float reach = radius + 1;
  const int x0 = clip(std::min(a.x, b.x) - reach), x1 = clip(std::max(a.x, b.x) + reach + 1);
  const int y0 = clip(std::min(a.y, b.y) - reach), y1 = clip(std::max(a.y, b.y) + reach + 1);
  for (int y = y0; y <= y1; ++y) {
    for (int x = x0; x <= x1; ++x) {
      const float d = DistanceToSegment({static_cast<float>(x), static_cast<float>(y)}, a, b);
      float& pixel = (*canvas)[static_cast<size_t>(y) * kDigitSide + static_cast<size_t>(x)];
      pixel = std::max(pixel, ink * std::clamp(radius - d + .5f, 0.0f, 1.0f));
    }
  }
}

void DrawGlyph(const Glyph& glyph, Rng* rng, Canvas* canvas) {
  const Hand hand(rng);
  const float radius = Between(rng, .7f, 1.7f), ink = Between(rng, .6f, 1.0f), shake = .025f;
  for (const Stroke& stroke : glyph) {
    Stroke placed;
    for (const Point p : stroke)
      placed.push_back(hand.Place({p.x + Between(rng, -shake, shake), p.y + Between(rng, -shake, shake)}));
    for (size_t i = 1; i < placed.size(); ++i) DrawSegment(canvas, placed[i - 1], placed[i], radius, ink);
  }
}

// A short scratch somewhere, fainter than the pen mostly is.
void DrawScratch(Rng* rng, Canvas* canvas) {
  const Point a = {Between(rng, 0, 27), Between(rng, 0, 27)};
  const Point b = {a.x + Between(rng, -6, 6), a.y + Between(rng, -6, 6)};
  // One after the other: compilers differ in which argument of a call they evaluate first.
  const float ink = Between(rng, .2f, .6f), radius = Between(rng, .4f, .9f);
  DrawSegment(canvas, a, b, radius, ink);
}

constexpr uint64_t kMaxCount = 10'000'000;

class SyntheticSource final : public Source {
 public:
  explicit SyntheticSource(std::string spec) : spec_(std::move(spec)) {}

  absl::StatusOr<RawData> Read(const LoadOptions& options) const override {
    TRB_ASSIGN_OR_RETURN(const SyntheticSpec spec, ParseSyntheticSpec(spec_));
    constexpr size_t kSize = kDigitSide * kDigitSide;
    TRB_RETURN_IF_ERROR(CheckMemory(spec_, spec.count, kSize, options.max_bytes));
    RawData raw;
    Dataset& data = raw.dataset;
    data.count = spec.count;
    data.height = data.width = kDigitSide;
    data.pixels.resize(data.count * kSize);
    data.labels.resize(data.count);
    for (size_t i = 0; i < data.count; ++i)
      data.labels[i] = DrawDigit(spec.seed, options.split, i, data.pixels.data() + i * kSize);
    if (options.regression) {
      data.targets.assign(data.labels.begin(), data.labels.end());
      data.labels.clear();
    }
    raw.report.found = data.count;
    raw.where = [spec_text = spec_](size_t i) { return absl::StrCat(spec_text, "[", i, "]"); };
    return raw;
  }

 private:
  const std::string spec_;
};

}  // namespace

int DrawDigit(uint64_t seed, Split split, uint64_t index, uint8_t* pixels) {
  // The seed is the key, the index the stream: each example has numbers of its own.
  const uint64_t stream = index * 2 + (split == Split::kTest ? 1 : 0);
  Seed bytes{};
  for (int i = 0; i < 8; ++i) {
    bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(seed >> (8 * i));
    bytes[static_cast<size_t>(i) + 8] = static_cast<uint8_t>(stream >> (8 * i));
  }
  Rng rng(bytes);
  const int digit = static_cast<int>(rng.Below(10));
  Canvas canvas{};
  DrawGlyph(GlyphOf(digit, &rng), &rng, &canvas);
  for (uint64_t scratches = rng.Below(3); scratches > 0; --scratches) DrawScratch(&rng, &canvas);
  const float noise = Between(&rng, .02f, .2f);
  for (size_t i = 0; i < canvas.size(); ++i) {
    const float v = canvas[i] + noise * (rng.UniformFloat() - .5f);
    pixels[i] = static_cast<uint8_t>(std::clamp(v, 0.0f, 1.0f) * 255.0f + .5f);
  }
  return digit;
}

absl::StatusOr<SyntheticSpec> ParseSyntheticSpec(std::string_view text) {
  const std::string whole(text);
  const std::vector<std::string> parts = absl::StrSplit(whole, ':');
  SyntheticSpec spec;
  const auto number = [&](size_t i, uint64_t* out) {
    return parts.size() <= i || (!parts[i].empty() && parts[i].find_first_not_of("0123456789") == std::string::npos &&
                                 absl::SimpleAtoi(parts[i], out));
  };
  if (parts[0] != "synthetic" || parts.size() > 3 || !number(1, &spec.count) || !number(2, &spec.seed) ||
      spec.count < 1 || spec.count > kMaxCount)
    return absl::InvalidArgumentError(absl::StrCat(
        "`", whole, "`: expected synthetic, synthetic:COUNT or synthetic:COUNT:SEED, with COUNT from 1 to ",
        kMaxCount));
  return spec;
}

std::unique_ptr<Source> MakeSyntheticSource(std::string spec) {
  return std::make_unique<SyntheticSource>(std::move(spec));
}

}  // namespace tributary::data
