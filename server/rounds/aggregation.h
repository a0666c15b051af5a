// Closing a round's numbers: the accepted updates become one new model and one set of means.
// Depends on the base model and the set of (client name, update digest, weight) alone: any order of arrival gives the
// same bits. Memory is O(model), whatever the number of updates.
// Threads: pure but for the blob store; slow, so never call it with a lock held.
#ifndef TRIBUTARY_SERVER_ROUNDS_AGGREGATION_H_
#define TRIBUTARY_SERVER_ROUNDS_AGGREGATION_H_

#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "server/rounds/run_spec.h"
#include "server/rounds/store.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::storage {
class BlobStore;
}

namespace tributary::rounds {

// `rows` are the round's contributions; only accepted ones count. The new model's blob is stored and synced.
// aggregate_ms is left to the caller. `cancelled` is asked between updates.
//   CANCELLED           cancelled said so
//   FAILED_PRECONDITION no accepted row
//   DATA_LOSS           a stored model or update does not fit its digest
//   OUT_OF_RANGE        the new model would not be finite
//   RESOURCE_EXHAUSTED  no room for the new model: try again
absl::StatusOr<RoundResult> AggregateRound(const RunSpec& spec, const std::string& base_model_sha256,
                                           const std::vector<v1::Contribution>& rows, storage::BlobStore* blobs,
                                           const std::function<bool()>& cancelled);

// The new model alone, nothing stored: what AggregateRound makes, from the same updates.
struct AggregatedModel {
  std::vector<float> base, model;
};
absl::StatusOr<AggregatedModel> AggregateModel(const RunSpec& spec, const std::string& base_model_sha256,
                                               const std::vector<v1::Contribution>& rows,
                                               const storage::BlobStore& blobs,
                                               const std::function<bool()>& cancelled);

// The example-weighted means over accepted rows that have the value, summed in the order of client names.
void FillMeans(const std::vector<v1::Contribution>& rows, RoundResult* result);

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_AGGREGATION_H_
