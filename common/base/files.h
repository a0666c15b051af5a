// Files that must survive a crash, and directories that one process owns.
// Errors carry the path and the system's reason (ErrnoToStatus). Threads: all functions are safe from any thread.
#ifndef TRIBUTARY_COMMON_BASE_FILES_H_
#define TRIBUTARY_COMMON_BASE_FILES_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace tributary {

// The whole file. RESOURCE_EXHAUSTED when it is larger than `max_bytes` (checked before anything is allocated).
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes = uint64_t{1} << 32);

// Temporary file beside it -> write -> fsync -> rename -> fsync of the directory. After an error the old file is as it
// was.
absl::Status WriteFileDurably(const std::string& path, std::string_view contents, mode_t mode = 0644);

// fsync of a directory: makes a rename or a removal in it durable.
absl::Status SyncDirectory(const std::string& path);

// mkdir -p; new directories get `mode`.
absl::Status MakeDirectories(const std::string& path, mode_t mode = 0755);

// PERMISSION_DENIED when group or others may read, write or search it (keys, tokens). NOT_FOUND when it is absent.
absl::Status RequirePrivate(const std::string& path);

bool FileExists(const std::string& path);
// Removes it; absent is OK.
absl::Status RemoveFile(const std::string& path);

// Holds an advisory lock (flock) on DIR/lock until destroyed.
class DirectoryLock {
 public:
  // UNAVAILABLE, naming the holder's process id, when another process has it.
  static absl::StatusOr<std::unique_ptr<DirectoryLock>> Acquire(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_FILES_H_
