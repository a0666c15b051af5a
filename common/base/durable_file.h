// A file that comes in pieces and is there whole or not at all: temporary file beside it -> pieces -> fsync -> rename
// -> fsync of the directory. For one that is at hand as a whole: WriteFileDurably (files.h), which is made of this.
// A refused sync ends the process (SyncFile). Threads: each object belongs to one.
#ifndef TRIBUTARY_COMMON_BASE_DURABLE_FILE_H_
#define TRIBUTARY_COMMON_BASE_DURABLE_FILE_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace tributary {

class DurableFile {
 public:
  // Whether a file of this name was left by one that was killed. Nobody else's file goes by mistake.
  static bool IsTemporary(std::string_view name);

  static absl::StatusOr<std::unique_ptr<DurableFile>> Create(const std::string& path, mode_t mode = 0644);
  // Without Commit the temporary file is removed; a file that was at `path` is as it was.
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  absl::Status Write(std::string_view bytes);
  // Where the bytes are until Commit: all that was written can be read there.
  const std::string& temporary() const { return temporary_; }
  // Durable at its path when it returns OK.
  absl::Status Commit();

 private:
  DurableFile(std::string path, std::string temporary, int fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}
  const std::string path_, temporary_;
  int fd_;  // -1 once closed
  bool committed_ = false;
};

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_DURABLE_FILE_H_
