// From an operator's request to a run that can be created: the plan checked, its initial model made, fetched or found.
// Threads: safe from any thread; reads the store and writes blobs, so never call it with a lock held.
#ifndef TRIBUTARY_SERVER_ROUNDS_RUN_START_H_
#define TRIBUTARY_SERVER_ROUNDS_RUN_START_H_

#include <cstdint>
#include <string>

#include "common/base/clock.h"
#include "common/base/memory_limit.h"
#include "common/base/status.h"
#include "server/rounds/store.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::storage {
class BlobStore;
}

namespace tributary::rounds {

struct RunStart {
  RunStore& store;
  storage::BlobStore& blobs;
  const Clock& clock;
  // What the coordinator may use: a model that it could not average is refused now, not when the updates are there.
  uint64_t memory_bytes = MemoryLimitBytes();

  // INVALID_ARGUMENT: every fault of the plan, a model that is too large; NOT_FOUND: the run, round, blob or path that
  // it starts from. With dry_run nothing is written, and the result is for nobody.
  absl::StatusOr<NewRun> Prepare(const v1::StartRunRequest& request, const Actor& actor) const;
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_RUN_START_H_
