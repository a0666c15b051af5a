// What OperatorService streams of a run's history: the proof, and a replay.
// Threads: each object belongs to one call (PullStream). Borrowed pieces outlive it.
#ifndef TRIBUTARY_SERVER_SERVICE_HISTORY_STREAMS_H_
#define TRIBUTARY_SERVER_SERVICE_HISTORY_STREAMS_H_

#include <atomic>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/storage/blob_store.h"
#include "server/ledger/ledger_store.h"
#include "server/service/pull_stream.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::service {

// The file's bytes in order, cut into parts. Errors as ledger::ProofExport.
absl::StatusOr<PullStream<v1::HistoryPart>::Next> StreamProof(ledger::LedgerStore* store,
                                                              const v1::ExportHistoryRequest& request);

// Replays, one at a time in the whole coordinator: each reads every update of a run and keeps a core busy.
class Replays {
 public:
  Replays(ledger::LedgerStore* store, storage::BlobStore* blobs, const Clock* clock)
      : store_(*store), blobs_(*blobs), clock_(*clock) {}
  // ABORTED while another one is under way. It holds no lock and stores nothing: rounds go on beside it.
  absl::StatusOr<PullStream<v1::ReplayPart>::Next> Begin(const v1::ReplayHistoryRequest& request);

 private:
  class Replay;
  ledger::LedgerStore& store_;
  storage::BlobStore& blobs_;
  const Clock& clock_;
  std::atomic<bool> busy_ = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_HISTORY_STREAMS_H_
