#include "common/base/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file_descriptor.h"
#include "common/base/files.h"

namespace tributary {

absl::StatusOr<std::unique_ptr<DurableFile>> DurableFile::Create(const std::string& path, mode_t mode) {
  std::string temporary = absl::StrCat(path, ".tmp-", getpid());
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return ErrnoToStatus(errno, absl::StrCat("create ", temporary));
  return std::unique_ptr<DurableFile>(new DurableFile(path, std::move(temporary), fd));
}

DurableFile::~DurableFile() {
  if (fd_ >= 0) close(fd_);
  if (!committed_) unlink(temporary_.c_str());
}

absl::Status DurableFile::Write(std::string_view bytes) { return WriteAll(fd_, bytes, temporary_); }

absl::Status DurableFile::Commit() {
  if (fsync(fd_) != 0) return ErrnoToStatus(errno, absl::StrCat("fsync ", temporary_));
  if (close(std::exchange(fd_, -1)) != 0) return ErrnoToStatus(errno, absl::StrCat("close ", temporary_));
  if (rename(temporary_.c_str(), path_.c_str()) != 0)
    return ErrnoToStatus(errno, absl::StrCat("rename ", temporary_, " to ", path_));
  committed_ = true;
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  return SyncDirectory(folder.empty() ? "." : folder);
}

}  // namespace tributary
