// Files that must survive a crash, and directories that one process owns.
// Errors carry the path and the system's reason (ErrnoToStatus). Threads: all functions are safe from any thread.
#ifndef TRIBUTARY_COMMON_BASE_FILES_H_
#define TRIBUTARY_COMMON_BASE_FILES_H_

#include <sys/types.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace tributary {

// The whole file. RESOURCE_EXHAUSTED when it is larger than `max_bytes`; a file's size is looked at first.
absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes = uint64_t{1} << 32);

// Temporary file beside it -> write -> fsync -> rename -> fsync of the directory. After an error the old file is as it
// was. A crash may leave PATH.tmp-...: SweepTemporaries.
absl::Status WriteFileDurably(const std::string& path, std::string_view contents, mode_t mode = 0644);

// fsync. Does not return when the disk refused (EndAfterFailedSync); an error means that this file cannot be synced.
absl::Status SyncFile(int fd, const std::string& path);

// fsync of a directory: makes a rename or a removal in it durable. As SyncFile.
absl::Status SyncDirectory(const std::string& path);

// Ends this process with a message (exit code 1). After a failed fsync nobody knows what is on the disk, and the system
// may say at the next attempt that all is well: only reading everything anew, as a start does, is right.
[[noreturn]] void EndAfterFailedSync(const std::string& what);

// Removes what WriteFileDurably left in DIRECTORY and below when it was killed. The caller owns the directory; folders
// named `except` are not looked into.
absl::Status SweepTemporaries(const std::string& directory, std::initializer_list<std::string_view> except = {});

// mkdir -p; new directories get `mode`, and their names are on the disk when it returns.
absl::Status MakeDirectories(const std::string& path, mode_t mode = 0755);

// PERMISSION_DENIED when group or others may read, write or search it (keys, tokens). NOT_FOUND when it is absent.
absl::Status RequirePrivate(const std::string& path);

bool FileExists(const std::string& path);
// Removes it; absent is OK.
absl::Status RemoveFile(const std::string& path);

// Holds an advisory lock (flock) on DIR/lock until destroyed.
class DirectoryLock {
 public:
  // FAILED_PRECONDITION, naming the holder's process id, when another process has it.
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
