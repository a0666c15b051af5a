#include "common/data/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/random.h"

namespace tributary::data {
namespace {

constexpr size_t kMaxParts = 1'000'000, kMaxShards = 1024;

struct Spec {
  enum class Kind { kIid, kShards, kDirichlet } kind = Kind::kIid;
  size_t shards = 0;
  double alpha = 0;
};

absl::StatusOr<Spec> ParseSpec(std::string_view text) {
  const std::string spec(text);
  Spec out;
  if (spec == "iid") return out;
  uint64_t shards = 0;
  if (spec.rfind("shards:", 0) == 0 && absl::SimpleAtoi(spec.substr(7), &shards) && shards >= 1 &&
      shards <= kMaxShards) {
    out.kind = Spec::Kind::kShards;
    out.shards = shards;
    return out;
  }
  if (spec.rfind("dirichlet:", 0) == 0 && absl::SimpleAtod(spec.substr(10), &out.alpha) && out.alpha >= 1e-4 &&
      out.alpha <= 1e6) {
    out.kind = Spec::Kind::kDirichlet;
    return out;
  }
  return absl::InvalidArgumentError(absl::StrCat("partition `", spec, "`: expected iid, shards:K (K from 1 to ",
                                                 kMaxShards, ") or dirichlet:A (A from 0.0001 to 1000000)"));
}

// Where piece `i` of `pieces` begins when `count` things are cut as evenly as can be, the larger pieces first.
size_t CutAt(size_t count, size_t pieces, size_t i) { return i * (count / pieces) + std::min(i, count % pieces); }

std::vector<uint32_t> Numbers(size_t count) {
  std::vector<uint32_t> out(count);
  std::iota(out.begin(), out.end(), 0u);
  return out;
}

Parts Iid(size_t count, size_t parts, Rng* rng) {
  std::vector<uint32_t> order = Numbers(count);
  Shuffle(&order, rng);
  Parts out(parts);
  for (size_t p = 0; p < parts; ++p)
    out[p].assign(order.begin() + CutAt(count, parts, p), order.begin() + CutAt(count, parts, p + 1));
  return out;
}

Parts Shards(std::span<const int32_t> labels, size_t shards_a_part, size_t parts, Rng* rng) {
  std::vector<uint32_t> order = Numbers(labels.size());
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return labels[a] < labels[b]; });
  const size_t pieces = parts * shards_a_part;
  std::vector<uint32_t> dealt = Numbers(pieces);
  Shuffle(&dealt, rng);
  Parts out(parts);
  for (size_t s = 0; s < pieces; ++s) {
    const size_t begin = CutAt(order.size(), pieces, dealt[s]), end = CutAt(order.size(), pieces, dealt[s] + 1);
    out[s / shards_a_part].insert(out[s / shards_a_part].end(), order.begin() + begin, order.begin() + end);
  }
  return out;
}

// log of a Gamma(alpha, 1) draw, Marsaglia and Tsang (2000). In logs, because a small alpha gives draws far below the
// smallest double.
double LogGammaDraw(double alpha, Rng* rng) {
  if (alpha < 1) {
    const double u = 1 - rng->UniformDouble();  // in (0, 1]
    return LogGammaDraw(alpha + 1, rng) + std::log(u) / alpha;
  }
  const double d = alpha - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = rng->Normal(), t = 1 + c * x;
    if (t <= 0) continue;
    const double v = t * t * t, u = 1 - rng->UniformDouble();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

// Cumulative shares of `parts`, the last exactly 1.
std::vector<double> DirichletCuts(double alpha, size_t parts, Rng* rng) {
  std::vector<double> draws(parts);
  for (double& d : draws) d = LogGammaDraw(alpha, rng);
  const double largest = *std::max_element(draws.begin(), draws.end());
  double sum = 0;
  for (double& d : draws) sum += d = std::exp(d - largest);
  double so_far = 0;
  for (double& d : draws) d = (so_far += d) / sum;
  draws.back() = 1;
  return draws;
}

Parts Dirichlet(std::span<const int32_t> labels, size_t num_classes, double alpha, size_t parts, Rng* rng) {
  std::vector<std::vector<uint32_t>> by_class(num_classes);
  for (uint32_t i = 0; i < labels.size(); ++i) by_class[static_cast<size_t>(labels[i])].push_back(i);
  Parts out(parts);
  for (std::vector<uint32_t>& members : by_class) {
    Shuffle(&members, rng);
    const std::vector<double> cuts = DirichletCuts(alpha, parts, rng);
    size_t begin = 0;
    for (size_t p = 0; p < parts; ++p) {
      const auto end = static_cast<size_t>(std::floor(cuts[p] * static_cast<double>(members.size()) + 0.5));
      for (; begin < std::min(end, members.size()); ++begin) out[p].push_back(members[begin]);
    }
  }
  // Otherwise each part would be sorted by class, and a validation split would cut off whole classes.
  for (std::vector<uint32_t>& part : out) Shuffle(&part, rng);
  return out;
}

absl::Status CheckArguments(std::span<const int32_t> labels, size_t num_classes, const Spec& spec, size_t parts) {
  if (parts == 0 || parts > kMaxParts)
    return absl::InvalidArgumentError(absl::StrCat("partition: ", parts, " parts, expected 1 to ", kMaxParts));
  if (labels.size() > UINT32_MAX) return absl::InvalidArgumentError("partition: too many examples");
  const size_t pieces = spec.kind == Spec::Kind::kShards ? parts * spec.shards : parts;
  if (spec.kind != Spec::Kind::kDirichlet && labels.size() < pieces)
    return absl::InvalidArgumentError(
        absl::StrCat("partition: ", labels.size(), " examples cannot be cut into ", pieces, " pieces"));
  for (const int32_t label : labels) {
    if (label < 0 || static_cast<size_t>(label) >= num_classes)
      return absl::InvalidArgumentError(
          absl::StrCat("partition: label ", label, " is not one of ", num_classes, " classes"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPartitionSpec(std::string_view spec) { return ParseSpec(spec).status(); }

absl::StatusOr<Parts> Partition(std::span<const int32_t> labels, size_t num_classes, std::string_view spec,
                                size_t parts, uint64_t seed) {
  TRB_ASSIGN_OR_RETURN(const Spec parsed, ParseSpec(spec));
  TRB_RETURN_IF_ERROR(CheckArguments(labels, num_classes, parsed, parts));
  Rng rng(seed);
  switch (parsed.kind) {
    case Spec::Kind::kShards:
      return Shards(labels, parsed.shards, parts, &rng);
    case Spec::Kind::kDirichlet:
      return Dirichlet(labels, num_classes, parsed.alpha, parts, &rng);
    case Spec::Kind::kIid:
      break;
  }
  return Iid(labels.size(), parts, &rng);
}

absl::StatusOr<Parts> Partition(const Dataset& data, std::string_view spec, size_t parts, uint64_t seed) {
  if (!data.is_regression()) return Partition(data.labels, data.num_classes, spec, parts, seed);
  TRB_ASSIGN_OR_RETURN(const Spec parsed, ParseSpec(spec));
  if (parsed.kind != Spec::Kind::kIid)
    return absl::InvalidArgumentError(absl::StrCat("partition `", std::string(spec),
                                                   "`: it goes by class labels, and these data have numbers: use iid"));
  const std::vector<int32_t> one_class(data.count);
  return Partition(one_class, 1, spec, parts, seed);
}

absl::StatusOr<PartNumber> ParsePart(std::string_view text) {
  const std::string part(text);
  const size_t slash = part.find('/');
  uint64_t index = 0, count = 0;
  const auto digits = [](const std::string& s) { return !s.empty() && s.find_first_not_of("0123456789") == s.npos; };
  if (slash == part.npos || !digits(part.substr(0, slash)) || !digits(part.substr(slash + 1)) ||
      !absl::SimpleAtoi(part.substr(0, slash), &index) || !absl::SimpleAtoi(part.substr(slash + 1), &count) ||
      index < 1 || index > count || count > kMaxParts)
    return absl::InvalidArgumentError(absl::StrCat("part `", part, "`: expected I/K with I from 1 to K, such as 3/10"));
  return PartNumber{index, count};
}

}  // namespace tributary::data
