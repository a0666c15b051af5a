// A round's numbers: the accepted updates become one new model and one set of means.
// Depends on the base model and the set of (client name, update digest, weight) alone: any order of arrival gives the
// same bits. Memory is O(model), whatever the number of updates.
// Threads: pure but for the blob store; slow, so never call it with a lock held.
#ifndef TRIBUTARY_SERVER_ROUNDS_AGGREGATION_H_
#define TRIBUTARY_SERVER_ROUNDS_AGGREGATION_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "server/rounds/run_spec.h"
#include "server/rounds/store.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::storage {
class BlobStore;
}
namespace tributary::learning {
class AggregationStrategy;
}

namespace tributary::rounds {

// The exact sum of one round's updates, added to as they are accepted. What it holds is derived: a crash loses nothing,
// the next process adds the updates again. Takes 16 bytes a parameter once the first update is in it.
class RoundSum {
 public:
  // Both are borrowed and outlive the sum.
  RoundSum(const RunSpec& spec, storage::BlobStore* blobs);
  ~RoundSum();

  // Adds at most `most` accepted rows that are not in it yet; how many it added. `cancelled` is asked between updates.
  // After an error the sum is of no use any more.
  //   CANCELLED   cancelled said so
  //   DATA_LOSS   a stored update does not fit its digest
  absl::StatusOr<size_t> Add(const std::vector<v1::Contribution>& rows, size_t most,
                             const std::function<bool()>& cancelled);

  // Adds what is still missing and makes the new model, as Finish does; stores nothing. Errors as Finish.
  struct Model {
    std::vector<float> base, next;
  };
  absl::StatusOr<Model> MakeModel(const std::string& base_model_sha256, const std::vector<v1::Contribution>& rows,
                                  const std::function<bool()>& cancelled);

  // Adds what is still missing. The new model's blob is stored and synced; aggregate_ms is left to the caller.
  // As Add, and
  //   FAILED_PRECONDITION no accepted row
  //   OUT_OF_RANGE        the new model would not be finite
  //   RESOURCE_EXHAUSTED  no room for the new model: try again
  //   INTERNAL            an update was added that `rows` no longer counts
  absl::StatusOr<RoundResult> Finish(const std::string& base_model_sha256, const std::vector<v1::Contribution>& rows,
                                     const std::function<bool()>& cancelled);

 private:
  const RunSpec& spec_;
  storage::BlobStore& blobs_;
  std::unique_ptr<learning::AggregationStrategy> strategy_;  // null before the first update
  std::set<std::string> added_;                              // names of clients
};

// All of it at once: RoundSum::Finish. `rows` are the round's contributions; only accepted ones count.
absl::StatusOr<RoundResult> AggregateRound(const RunSpec& spec, const std::string& base_model_sha256,
                                           const std::vector<v1::Contribution>& rows, storage::BlobStore* blobs,
                                           const std::function<bool()>& cancelled);

// Examples and means of the accepted rows.
void FillMeans(const std::vector<v1::Contribution>& rows, RoundResult* result);

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_AGGREGATION_H_
