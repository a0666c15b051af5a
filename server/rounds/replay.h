// Making a committed round's model once more, from the updates that were kept, by the code that made it: the proof that
// the model is what its updates and weights say, and nothing else. Stores nothing.
//
// A run is replayed round by round, each from its base model as recorded. That is the same as going on from the model
// just made: while all digests are equal, the two are the same bytes.
// Threads: pure but for reading the blob store; slow, so never call it with a lock held.
#ifndef TRIBUTARY_SERVER_ROUNDS_REPLAY_H_
#define TRIBUTARY_SERVER_ROUNDS_REPLAY_H_

#include <functional>
#include <vector>

#include "common/base/status.h"
#include "common/storage/blob_store.h"
#include "server/rounds/run_spec.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::rounds {

// A committed round and what it was made of, both as recorded.
struct RecordedRound {
  v1::Round round;
  std::vector<v1::Contribution> contributions;
};

// State, digests and reason, as v1::ReplayedRound says; replay_ms is left to the caller. `may_be_gone`: the run's
// keep_updates lets go of updates by now, so that a missing one is no fault. CANCELLED: cancelled said so.
absl::StatusOr<v1::ReplayedRound> ReplayRound(const RunSpec& spec, const RecordedRound& recorded, bool may_be_gone,
                                              storage::BlobStore* blobs, const std::function<bool()>& cancelled);

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_REPLAY_H_
