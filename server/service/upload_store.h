// Updates on their way in: DIR/partial/<upload id>, resumable by offset, surviving restarts while the round is open.
// A file's name is made of digests that we computed, never of a peer's text.
//
// Order, for one update: Announce (again after every cut) -> Begin -> Append... -> Finish; the newest Announce takes
// the file away from an older stream. What has been announced is forgotten at a restart (the bytes are not): the client
// announces again.
#ifndef TRIBUTARY_SERVER_SERVICE_UPLOAD_STORE_H_
#define TRIBUTARY_SERVER_SERVICE_UPLOAD_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/crypto/digest.h"
#include "common/update/update_codec.h"
#include "tributary/v1/update.pb.h"

namespace tributary::service {

// What was announced and checked, kept until the bytes are there.
struct AnnouncedUpdate {
  v1::UpdateRecord record;
  std::string signature;
  std::string metrics;
  uint64_t parameters = 0;  // of the model
  uint64_t weight = 0;      // examples, capped by the plan
};

// One update's file. Its bytes are hashed and checked while they come.
// Threads: every method is safe from any thread; the lock orders the writes to the one file, so it is held while
// writing. Streams are told apart by the number that Announce gave: an outdated one gets ABORTED.
class Upload {
 public:
  Upload(AnnouncedUpdate announced, std::string path);
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  const AnnouncedUpdate& announced() const { return announced_; }
  const std::string& path() const { return path_; }

  // What the bytes so far amount to. Kept from stream to stream: whoever cuts and announces again and again does not
  // make us read and hash what is there each time.
  struct Progress {
    crypto::Sha256Hasher hasher;
    update::DeltaDecoder decoder;
    uint64_t size = 0;
    bool earlier = false;  // some of them an earlier process left
  };

  // Outdates every stream before. `progress`: what Retire of the announcement before gave, of the same bytes. Returns
  // the bytes that are there; all of them: a crash came before they were accepted, and Begin and Finish are all that is
  // left to do.
  absl::StatusOr<uint64_t> Announce(std::unique_ptr<Progress> progress) TRB_EXCLUDES(mu_);
  // Another announcement owns the file now: every stream of this one, present or to come, gets ABORTED.
  std::unique_ptr<Progress> Retire() TRB_EXCLUDES(mu_);
  // Opens the file for the newest announcement, reading what an earlier process left. Returns the stream's number.
  absl::StatusOr<uint64_t> Begin() TRB_EXCLUDES(mu_);
  // ABORTED: a newer stream, or not the offset that comes next (announce again). RESOURCE_EXHAUSTED: disk full.
  // A rejection (common/update/rejection.h): the content can never be accepted.
  absl::Status Append(uint64_t stream, uint64_t offset, std::string_view data) TRB_EXCLUDES(mu_);
  bool Complete(uint64_t stream) TRB_EXCLUDES(mu_);
  // All bytes are there: checks the digest and closes the file. wrong_digest is a rejection only when every byte came
  // to this process; what an earlier one left may have been damaged by a crash: ABORTED, start over.
  absl::Status Finish(uint64_t stream) TRB_EXCLUDES(mu_);
  // The stream is over; the bytes stay.
  void Release(uint64_t stream) TRB_EXCLUDES(mu_);

 private:
  absl::Status CheckTurnLocked(uint64_t stream) const TRB_REQUIRES(mu_);
  absl::Status ReadBackLocked() TRB_REQUIRES(mu_);
  absl::Status ConsumeLocked(std::string_view data) TRB_REQUIRES(mu_);
  absl::Status StartOverLocked() TRB_REQUIRES(mu_);
  absl::Status KeepLocked(uint64_t at, std::string_view data) TRB_REQUIRES(mu_);
  void CloseLocked() TRB_REQUIRES(mu_);
  void AbandonLocked() TRB_REQUIRES(mu_);

  const AnnouncedUpdate announced_;
  const std::string path_;

  Mutex mu_;
  uint64_t stream_ TRB_GUARDED_BY(mu_) = 0;
  int fd_ TRB_GUARDED_BY(mu_) = -1;
  bool retired_ TRB_GUARDED_BY(mu_) = false;
  // Of exactly the bytes in the file; null: only the file knows. Never null while the file is open.
  std::unique_ptr<Progress> progress_ TRB_GUARDED_BY(mu_);
};

// All uploads of a coordinator. Threads: every method is safe from any thread.
class UploadStore {
 public:
  // Makes DIR/partial when absent.
  static absl::StatusOr<std::unique_ptr<UploadStore>> Open(const std::string& directory);

  struct Ticket {
    std::string upload_id;
    uint64_t offset = 0;
  };
  // Also drops what the same task announced before with another digest. RESOURCE_EXHAUSTED: no room on the disk.
  absl::StatusOr<Ticket> Announce(AnnouncedUpdate announced) TRB_EXCLUDES(mu_);
  // NOT_FOUND: not announced (since the last restart), or another client's.
  absl::StatusOr<std::shared_ptr<Upload>> Find(const std::string& upload_id, const std::string& client_id)
      TRB_EXCLUDES(mu_);
  // Forgets it and removes its file.
  void Drop(const std::string& upload_id) TRB_EXCLUDES(mu_);
  // Removes everything that is not of a task that is open. Asked for after the files were listed: what comes for a task
  // that opens meanwhile is not among them.
  using OpenTasks = std::function<absl::StatusOr<std::set<std::string>>()>;
  absl::Status Sweep(const OpenTasks& open_tasks) TRB_EXCLUDES(mu_);

  static std::string UploadId(const std::string& task_id, const std::string& update_sha256);

 private:
  UploadStore(std::string root, std::set<std::string> files) : root_(std::move(root)), files_(std::move(files)) {}
  static absl::StatusOr<std::set<std::string>> List(const std::string& root);
  // Of the files of the task, those with another digest.
  std::vector<std::string> Others(const std::string& task_part, const std::string& upload_id) TRB_EXCLUDES(mu_);

  const std::string root_;
  Mutex mu_;
  std::set<std::string> files_ TRB_GUARDED_BY(mu_);                             // upload ids; some may have none
  std::map<std::string, std::shared_ptr<Upload>> uploads_ TRB_GUARDED_BY(mu_);  // by upload id
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_UPLOAD_STORE_H_
