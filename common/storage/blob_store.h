// Models and updates as files named by their SHA-256: DIR/blobs/ab/abcdef...
// A blob is written to a temporary file, synced, renamed, its directory synced; only then does Put return. A blob that
// is there already is re-hashed before it is reused. Every read is checked against the digest. Threads: every method is
// safe from any thread. Errors: NOT_FOUND; DATA_LOSS names the file whose bytes do not fit its name; RESOURCE_EXHAUSTED
// when the disk is full (nothing half-written remains).
#ifndef TRIBUTARY_COMMON_STORAGE_BLOB_STORE_H_
#define TRIBUTARY_COMMON_STORAGE_BLOB_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/base/status.h"

namespace tributary::storage {

class BlobStore {
 public:
  // Makes DIR/blobs when absent and removes temporary files that a crash left. `read_only` makes and removes nothing.
  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(const std::string& directory, bool read_only = false);

  // Returns the digest (64 hex characters).
  absl::StatusOr<std::string> Put(std::string_view bytes);
  // Takes over a complete, closed file of the same file system (a finished partial upload): hashes it, syncs, renames.
  // INVALID_ARGUMENT when its digest is not `expected_sha256`; the file is then left where it is.
  absl::Status Adopt(const std::string& path, const std::string& expected_sha256);
  absl::StatusOr<std::string> Get(const std::string& sha256) const;
  // In pieces of at most 256 KiB, in order; the digest is checked at the end (DATA_LOSS comes after the last piece: the
  // caller discards what it made of them). The callback's error ends the read and is returned.
  absl::Status Read(const std::string& sha256, const std::function<absl::Status(std::string_view)>& piece) const;
  bool Contains(const std::string& sha256) const;
  absl::StatusOr<uint64_t> Size(const std::string& sha256) const;
  // OK, NOT_FOUND or DATA_LOSS.
  absl::Status Verify(const std::string& sha256) const;
  // Absent is OK.
  absl::Status Remove(const std::string& sha256);
  // Notes, durably, that somebody is about to name this blob in a row: whoever sweeps blobs without a row spares it for
  // a while. NOT_FOUND when the blob is not there.
  absl::Status Offer(const std::string& sha256);
  // When it was offered last, by the file system's clock. NOT_FOUND when it never was.
  absl::StatusOr<absl::Time> OfferedAt(const std::string& sha256) const;
  // Digests of all blobs there, sorted.
  absl::StatusOr<std::vector<std::string>> List() const;
  std::string PathOf(const std::string& sha256) const;

 private:
  explicit BlobStore(std::string root) : root_(std::move(root)) {}
  absl::Status MakeFolder(const std::string& sha256) TRB_EXCLUDES(mu_);
  const std::string root_;
  Mutex mu_;  // orders the making of folders
};

}  // namespace tributary::storage

#endif  // TRIBUTARY_COMMON_STORAGE_BLOB_STORE_H_
