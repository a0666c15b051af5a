// Cuts one data set into shares, for demonstrations, simulations and tests. The same arguments always give the same
// shares; every example is in exactly one of them. Threads: pure functions.
#ifndef TRIBUTARY_COMMON_DATA_PARTITION_H_
#define TRIBUTARY_COMMON_DATA_PARTITION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/data/dataset.h"

namespace tributary::data {

using Parts = std::vector<std::vector<uint32_t>>;

// `spec` is one of
//   iid          a shuffle, cut into parts whose sizes differ by one at most (the larger ones first)
//   shards:K     sorted by label (stable), cut into parts*K shards, K shards a part by a random permutation
//                (McMahan et al. 2017; K is at most 1024)
//   dirichlet:A  each class is spread over the parts by one draw from a symmetric Dirichlet(A); parts may be empty
// INVALID_ARGUMENT: unknown spec, parts = 0, fewer examples than shards, a label outside [0, num_classes).
absl::StatusOr<Parts> Partition(std::span<const int32_t> labels, size_t num_classes, std::string_view spec,
                                size_t parts, uint64_t seed);

// The same of a data set. Regression targets have no classes to sort by: only iid; INVALID_ARGUMENT for the others.
absl::StatusOr<Parts> Partition(const Dataset& data, std::string_view spec, size_t parts, uint64_t seed);

// Whether `spec` could be used, without data: OK or INVALID_ARGUMENT.
absl::Status CheckPartitionSpec(std::string_view spec);

// "3/10" -> {3, 10}, 1-based as people count. INVALID_ARGUMENT unless 1 <= index <= count <= 1'000'000.
struct PartNumber {
  size_t index = 1, count = 1;
};
absl::StatusOr<PartNumber> ParsePart(std::string_view text);

}  // namespace tributary::data

#endif  // TRIBUTARY_COMMON_DATA_PARTITION_H_
