#include "common/learning/fedavg.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/learning/exact_sum.h"

namespace tributary::learning {
namespace {

constexpr float kDeltaLimit = 0x1p20f;
constexpr double kUnit = 0x1p-40;  // of q
constexpr int kLowBits = 31, kHighBits = 32;
// |low| <= 2^30 and |high| <= 2^29 a unit of weight, so this much weight fits into a limb beside what a carry leaves.
constexpr uint64_t kWeightPerCarry = uint64_t{1} << 32;

bool AllInRange(std::span<const float> values) {
  int outside = 0;
  for (const float v : values) outside += !(std::fabs(v) < kDeltaLimit);  // true of a NaN too
  return outside == 0;
}

absl::Status FirstOutOfRange(std::span<const float> values, size_t offset) {
  const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !(std::fabs(v) < kDeltaLimit); });
  return absl::InvalidArgumentError(absl::StrCat("value ", offset + static_cast<size_t>(bad - values.begin()), " is ",
                                                 *bad, ", it must be finite and below 2^20 in size"));
}

}  // namespace

absl::Status AggregationStrategy::Add(std::span<const float> delta, uint64_t weight) {
  TRB_RETURN_IF_ERROR(Begin(weight));
  TRB_RETURN_IF_ERROR(AddChunk(0, delta));
  return End();
}

FedAvg::FedAvg(size_t parameter_count) : low_(parameter_count), high_(parameter_count) {}

absl::Status FedAvg::Begin(uint64_t weight) {
  if (weight_ != 0) return absl::FailedPreconditionError("the update before has not ended");
  if (weight == 0 || weight > kMaxWeight) {
    return absl::InvalidArgumentError(absl::StrCat("weight ", weight, " is outside [1, 2^32]"));
  }
  if (weight_since_low_carry_ + weight > kWeightPerCarry) CarryLow();
  if (weight_since_high_carry_ + weight > kWeightPerCarry) CarryHigh();
  weight_ = weight;
  next_ = 0;
  return absl::OkStatus();
}

absl::Status FedAvg::AddChunk(size_t offset, std::span<const float> delta) {
  if (weight_ == 0) return absl::FailedPreconditionError("no update has begun");
  if (offset != next_ || delta.size() > low_.size() - next_) {
    return absl::OutOfRangeError(absl::StrCat("a chunk of ", delta.size(), " values at ", offset, " of ", low_.size(),
                                              ", where ", next_, " is next"));
  }
  constexpr size_t kBlock = 2048;  // stays in the first-level cache between the check and the sum
  for (size_t begin = 0; begin < delta.size(); begin += kBlock) {
    const std::span<const float> block = delta.subspan(begin, std::min(kBlock, delta.size() - begin));
    if (!AllInRange(block)) return FirstOutOfRange(block, offset + begin);
    const auto add = weight_ <= kFastWeight ? AddWeighted : AddWeightedRef;
    add(block.data(), block.size(), weight_, &low_[offset + begin], &high_[offset + begin]);
  }
  next_ += delta.size();
  return absl::OkStatus();
}

absl::Status FedAvg::End() {
  if (weight_ == 0) return absl::FailedPreconditionError("no update has begun");
  if (next_ != low_.size()) {
    return absl::FailedPreconditionError(absl::StrCat("only ", next_, " of ", low_.size(), " values came"));
  }
  total_weight_ += weight_;
  weight_since_low_carry_ += weight_;
  weight_since_high_carry_ += weight_;
  weight_ = 0;
  ++updates_;
  return absl::OkStatus();
}

// Moves what is above 31 bits up; >> rounds down and the remainder stays positive, so nothing is lost.
void FedAvg::CarryLow() {
  for (size_t i = 0; i < low_.size(); ++i) {
    high_[i] += low_[i] >> kLowBits;
    low_[i] &= (int64_t{1} << kLowBits) - 1;
  }
  weight_since_low_carry_ = 0;
}

void FedAvg::CarryHigh() {
  top_.resize(high_.size());
  for (size_t i = 0; i < high_.size(); ++i) {
    top_[i] += high_[i] >> kHighBits;
    high_[i] &= (int64_t{1} << kHighBits) - 1;
  }
  weight_since_high_carry_ = 0;
}

absl::StatusOr<std::vector<float>> FedAvg::Finish(std::span<const float> base, double server_learning_rate) const {
  if (updates_ == 0) return absl::FailedPreconditionError("no update was added");
  if (weight_ != 0) return absl::FailedPreconditionError("an update has not ended");
  if (base.size() != low_.size()) {
    return absl::InvalidArgumentError(absl::StrCat("base has ", base.size(), " values, not ", low_.size()));
  }
  std::vector<float> model(base.size());
  const double total = static_cast<double>(total_weight_) / kUnit;
  for (size_t i = 0; i < base.size(); ++i) {
    __extension__ using Int128 = __int128;
    Int128 sum = top_.empty() ? Int128{0} : static_cast<Int128>(top_[i]) * (Int128{1} << (kLowBits + kHighBits));
    sum += static_cast<Int128>(high_[i]) * (Int128{1} << kLowBits) + low_[i];
    const double mean = static_cast<double>(sum) / total;
    model[i] = static_cast<float>(static_cast<double>(base[i]) + server_learning_rate * mean);
    if (!std::isfinite(model[i])) return absl::OutOfRangeError(absl::StrCat("parameter ", i, " would not be finite"));
  }
  return model;
}

absl::StatusOr<std::unique_ptr<AggregationStrategy>> CreateStrategy(std::string_view name, size_t parameter_count) {
  if (name == "fedavg") return std::make_unique<FedAvg>(parameter_count);
  return absl::NotFoundError(absl::StrCat("unknown strategy \"", std::string(name), "\"; known: fedavg"));
}

}  // namespace tributary::learning
