// Base models by digest in DIR/cache, so that a task that starts again does not fetch its model again. Downloads resume
// from what is there after a cut or a restart. Not durable on purpose: what a crash takes is fetched again.
// Threads: belongs to one thread.
#ifndef TRIBUTARY_CLIENT_SESSION_MODEL_CACHE_H_
#define TRIBUTARY_CLIENT_SESSION_MODEL_CACHE_H_

#include <memory>
#include <stop_token>
#include <string>

#include "client/session/coordinator_link.h"
#include "common/base/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::session {

class ModelCache {
 public:
  struct Options {
    size_t keep = 4;  // models on disk, the most recently used; at least 1
  };
  static absl::StatusOr<std::unique_ptr<ModelCache>> Open(const std::string& directory, Options options);
  static absl::StatusOr<std::unique_ptr<ModelCache>> Open(const std::string& directory) { return Open(directory, {}); }

  // The bytes of the task's base model, checked against its digest. One attempt: errors as CoordinatorLink; what has
  // come stays for the next. DATA_LOSS: what came does not fit the digest (it is removed).
  absl::StatusOr<std::string> Fetch(const v1::TrainTask& task, CoordinatorLink* link, std::stop_token stop);

 private:
  ModelCache(std::string directory, Options options) : directory_(std::move(directory)), options_(options) {}
  absl::StatusOr<std::string> ReadComplete(const v1::TrainTask& task) const;
  absl::Status Download(const v1::TrainTask& task, const std::string& partial, CoordinatorLink* link,
                        std::stop_token stop) const;
  void RemoveOldBut(const std::string& newest) const;

  const std::string directory_;
  const Options options_;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_MODEL_CACHE_H_
