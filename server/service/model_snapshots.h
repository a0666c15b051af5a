// Models in memory while somebody reads them: one immutable copy a model however many downloads there are, and the
// newest one kept. Each is checked against its digest when it is loaded.
// Threads: every method is safe from any thread; Get reads the disk.
#ifndef TRIBUTARY_SERVER_SERVICE_MODEL_SNAPSHOTS_H_
#define TRIBUTARY_SERVER_SERVICE_MODEL_SNAPSHOTS_H_

#include <map>
#include <memory>
#include <set>
#include <string>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/storage/blob_store.h"

namespace tributary::service {

class ModelSnapshots {
 public:
  using Snapshot = std::shared_ptr<const std::string>;

  // `blobs` is borrowed and outlives this.
  explicit ModelSnapshots(const storage::BlobStore* blobs) : blobs_(*blobs) {}
  // NOT_FOUND; DATA_LOSS names the blob whose bytes do not fit.
  absl::StatusOr<Snapshot> Get(const std::string& sha256) TRB_EXCLUDES(mu_);

 private:
  const storage::BlobStore& blobs_;
  Mutex mu_;
  CondVar loaded_;
  std::set<std::string> loading_ TRB_GUARDED_BY(mu_);
  std::map<std::string, std::weak_ptr<const std::string>> known_ TRB_GUARDED_BY(mu_);
  Snapshot newest_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_MODEL_SNAPSHOTS_H_
