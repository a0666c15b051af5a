// The global model on the coordinator's own test set. The data are loaded at the first use and kept between rounds.
// Threads: one at a time; slow, so never call it with a lock held.
#ifndef TRIBUTARY_SERVER_ROUNDS_CENTRAL_TEST_H_
#define TRIBUTARY_SERVER_ROUNDS_CENTRAL_TEST_H_

#include <functional>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/data/dataset.h"
#include "server/rounds/run_spec.h"
#include "server/rounds/store.h"

namespace tributary::storage {
class BlobStore;
}

namespace tributary::rounds {

class CentralTest {
 public:
  // `blobs` is borrowed and outlives it.
  CentralTest(std::shared_ptr<const RunSpec> spec, storage::BlobStore* blobs, int threads)
      : spec_(std::move(spec)), blobs_(*blobs), threads_(threads) {}

  // evaluate_ms is left to the caller. Data that cannot be loaded are tried again next time. CANCELLED: `cancelled`
  // said so, which is asked every batch. Any other error is what RoundEvaluation.failure should say.
  absl::StatusOr<RoundEvaluation> Run(const std::string& model_sha256, const std::function<bool()>& cancelled);

 private:
  absl::Status Load();

  const std::shared_ptr<const RunSpec> spec_;
  storage::BlobStore& blobs_;
  const int threads_;
  std::unique_ptr<const data::Dataset> data_;
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_CENTRAL_TEST_H_
