// The server's half of federated averaging: many weighted deltas -> one new model, in O(model) memory.
//
// FedAvg's sum is exact, so any order of arrival, any cutting into chunks and any thread count give the same bits:
//   q    = round-half-even(delta * 2^40)            an integer; |delta| >= 2^20 and non-finite values are refused
//   acc += n * q                                    in integers, without loss; n = the update's weight
//   new  = float32(double(base) + rate * (double(acc) / (double(sum of n) * 2^40)))
// where double(acc) is the nearest double, ties to even, and every operation is an IEEE 754 double operation.
//
// Threads: a strategy belongs to one thread at a time.
#ifndef TRIBUTARY_COMMON_LEARNING_FEDAVG_H_
#define TRIBUTARY_COMMON_LEARNING_FEDAVG_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace tributary::learning {

// Updates come one after another: Begin, AddChunk... (in order, without gaps), End. An error in between leaves the
// strategy useless (part of the update is in the sum): drop it and start over with another.
class AggregationStrategy {
 public:
  virtual ~AggregationStrategy() = default;

  // INVALID_ARGUMENT: weight outside [1, 2^32]. FAILED_PRECONDITION: the one before has not ended.
  virtual absl::Status Begin(uint64_t weight) = 0;
  // Values [offset, offset + delta.size()) of the delta.
  //   OUT_OF_RANGE      not where the last chunk ended, or beyond the model
  //   INVALID_ARGUMENT  a value that is not finite or not below 2^20 in size
  virtual absl::Status AddChunk(size_t offset, std::span<const float> delta) = 0;
  // FAILED_PRECONDITION: values are missing.
  virtual absl::Status End() = 0;

  // The new model. FAILED_PRECONDITION without any update or in the middle of one; INVALID_ARGUMENT when base has
  // another size; OUT_OF_RANGE when the new model would not be finite. Does not change the sum.
  virtual absl::StatusOr<std::vector<float>> Finish(std::span<const float> base, double server_learning_rate) const = 0;

  // Begin, AddChunk, End of a whole delta.
  absl::Status Add(std::span<const float> delta, uint64_t weight);
};

class FedAvg : public AggregationStrategy {
 public:
  static constexpr uint64_t kMaxWeight = uint64_t{1} << 32;

  explicit FedAvg(size_t parameter_count);

  absl::Status Begin(uint64_t weight) override;
  absl::Status AddChunk(size_t offset, std::span<const float> delta) override;
  absl::Status End() override;
  absl::StatusOr<std::vector<float>> Finish(std::span<const float> base, double server_learning_rate) const override;

  uint64_t total_weight() const { return total_weight_; }
  size_t updates() const { return updates_; }

 private:
  void CarryLow();
  void CarryHigh();

  // Parameter i's sum is top[i] * 2^63 + high[i] * 2^31 + low[i], in units of 2^-40.
  std::vector<int64_t> low_, high_;
  std::vector<int64_t> top_;  // empty until weights are so large that it is needed
  uint64_t total_weight_ = 0;
  uint64_t weight_since_low_carry_ = 0, weight_since_high_carry_ = 0;
  size_t updates_ = 0;
  uint64_t weight_ = 0;  // of the update in progress; 0 = none
  size_t next_ = 0;      // where its next chunk must start
};

// By the plan's name ("fedavg"). NOT_FOUND lists the known names.
absl::StatusOr<std::unique_ptr<AggregationStrategy>> CreateStrategy(std::string_view name, size_t parameter_count);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_FEDAVG_H_
