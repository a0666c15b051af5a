#include "common/base/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/fail_point.h"
#include "common/base/file_descriptor.h"
#include "common/base/files.h"

namespace tributary {
namespace {

constexpr char kTemporaryMark[] = ".tmp-";

// Unique among the writers of this process and, with the process id, of this machine.
std::string TemporaryBeside(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return absl::StrCat(path, kTemporaryMark, getpid(), "-", counter.fetch_add(1));
}

}  // namespace

bool DurableFile::IsTemporary(std::string_view name) {
  const size_t mark = name.rfind(kTemporaryMark);
  if (mark == std::string_view::npos) return false;
  const std::string_view numbers = name.substr(mark + sizeof kTemporaryMark - 1);
  const size_t dash = numbers.find('-');
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  return dash != std::string_view::npos && is_number(numbers.substr(0, dash)) && is_number(numbers.substr(dash + 1));
}

absl::StatusOr<std::unique_ptr<DurableFile>> DurableFile::Create(const std::string& path, mode_t mode) {
  std::string temporary = TemporaryBeside(path);
  TRB_FAIL_POINT("file.create", path);
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return ErrnoToStatus(errno, absl::StrCat("create ", temporary));
  std::unique_ptr<DurableFile> file(new DurableFile(path, std::move(temporary), fd));
  if (fchmod(fd, mode) != 0) return ErrnoToStatus(errno, absl::StrCat("chmod ", file->temporary_));
  TRB_FAIL_POINT("file.created", path);
  return file;
}

DurableFile::~DurableFile() {
  if (fd_ >= 0) close(fd_);
  if (!committed_) unlink(temporary_.c_str());
}

absl::Status DurableFile::Write(std::string_view bytes) { return WriteAll(fd_, bytes, temporary_); }

absl::Status DurableFile::Commit() {
  TRB_FAIL_POINT("file.written", path_);
  TRB_RETURN_IF_ERROR(SyncFile(fd_, temporary_));
  TRB_FAIL_POINT("file.synced", path_);
  if (close(std::exchange(fd_, -1)) != 0) return ErrnoToStatus(errno, absl::StrCat("close ", temporary_));
  if (rename(temporary_.c_str(), path_.c_str()) != 0)
    return ErrnoToStatus(errno, absl::StrCat("rename ", temporary_, " to ", path_));
  committed_ = true;
  TRB_FAIL_POINT("file.renamed", path_);
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  TRB_RETURN_IF_ERROR(SyncDirectory(folder.empty() ? "." : folder));
  TRB_FAIL_POINT("file.durable", path_);
  return absl::OkStatus();
}

}  // namespace tributary
