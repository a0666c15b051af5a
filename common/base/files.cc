#include "common/base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/durable_file.h"
#include "common/base/error_report.h"
#include "common/base/file_descriptor.h"
#include "common/base/logging.h"

namespace tributary {
namespace {

std::string DirectoryOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

absl::Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoToStatus(errno, absl::StrCat("write ", path));
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  const auto too_large = [&](uint64_t bytes, const char* or_more) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("%s: %d bytes%s, more than the limit of %d", path, bytes, or_more, max_bytes));
  };
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoToStatus(errno, absl::StrCat("open ", path));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoToStatus(errno, absl::StrCat("stat ", path));
  if (S_ISDIR(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory"));
  if (static_cast<uint64_t>(info.st_size) > max_bytes) return too_large(static_cast<uint64_t>(info.st_size), "");
  // One byte more than there should be: the end is seen without growing, which would copy everything.
  std::string out(static_cast<size_t>(info.st_size) + 1, '\0');
  size_t have = 0;
  for (;;) {
    // A pipe or a growing file: on to its end, or to one byte over the limit.
    if (have == out.size()) out.resize(out.size() + std::min<uint64_t>(max_bytes - have, 65535) + 1);
    const ssize_t n = read(fd.get(), out.data() + have, out.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoToStatus(errno, absl::StrCat("read ", path));
    if (n == 0) break;
    have += static_cast<size_t>(n);
    if (have > max_bytes) return too_large(have, " or more");
  }
  out.resize(have);
  return out;
}

void EndAfterFailedSync(const std::string& what) {
  Log(LogLevel::kError, "sync_failed", {{"what", what}});
  const absl::Status why = WithFix(
      absl::DataLossError(absl::StrCat("the disk did not keep what was written, so this process ends: ", what)),
      "look at the disk (dmesg); when it is well again, start this program: it goes on from what is really there");
  std::fputs(FormatError(why, /*json=*/false).c_str(), stderr);
  std::fflush(stderr);
  _exit(ExitCodeFor(why));
}

absl::Status SyncFile(int fd, const std::string& path) {
  if (fsync(fd) == 0) return absl::OkStatus();
  const absl::Status status = ErrnoToStatus(errno, absl::StrCat("fsync ", path));
  // Not something that can be synced: nothing was lost.
  if (errno == EINVAL || errno == EROFS || errno == EBADF) return status;
  EndAfterFailedSync(std::string(status.message()));
}

absl::Status SyncDirectory(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoToStatus(errno, absl::StrCat("open ", path));
  return SyncFile(fd.get(), path);
}

absl::Status SweepTemporaries(const std::string& directory, std::initializer_list<std::string_view> except) {
  std::error_code error;
  std::vector<std::string> left;
  for (std::filesystem::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (std::find(except.begin(), except.end(), name) != except.end()) it.disable_recursion_pending();
    std::error_code ignored;
    if (it->is_regular_file(ignored) && DurableFile::IsTemporary(name)) left.push_back(it->path().string());
  }
  if (error) return ErrnoToStatus(error.value(), absl::StrCat("list ", directory));
  for (const std::string& path : left) TRB_RETURN_IF_ERROR(RemoveFile(path));
  if (!left.empty()) Log(LogLevel::kInfo, "leftover_files_removed", {{"directory", directory}, {"count", left.size()}});
  return absl::OkStatus();
}

absl::Status WriteFileDurably(const std::string& path, std::string_view contents, mode_t mode) {
  TRB_ASSIGN_OR_RETURN(const auto file, DurableFile::Create(path, mode));
  TRB_RETURN_IF_ERROR(file->Write(contents));
  return file->Commit();
}

absl::Status MakeDirectories(const std::string& path, mode_t mode) {
  if (path.empty()) return absl::OkStatus();
  const std::string parent = DirectoryOf(path);
  if (mkdir(path.c_str(), mode) == 0) return SyncDirectory(parent);
  if (errno == ENOENT) {
    if (parent != path) TRB_RETURN_IF_ERROR(MakeDirectories(parent, mode));
    if (mkdir(path.c_str(), mode) == 0) return SyncDirectory(parent);
  }
  struct stat info {};
  const int error = errno;
  if (error == EEXIST && stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    // Whoever made it may have been killed before it lasts. A parent that we may not open, or that cannot be synced, is
    // not our making; a disk that fails ends the process.
    SyncDirectory(parent).IgnoreError();
    return absl::OkStatus();
  }
  return ErrnoToStatus(error, absl::StrCat("mkdir ", path));
}

absl::Status RequirePrivate(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoToStatus(errno, absl::StrCat("stat ", path));
  if ((info.st_mode & 077) == 0) return absl::OkStatus();
  const std::string command = absl::StrCat("chmod ", S_ISDIR(info.st_mode) ? "700 " : "600 ", path);
  return WithFix(
      absl::PermissionDeniedError(absl::StrFormat("%s: others may use it (mode %04o); it holds a secret: run `%s`",
                                                  path, info.st_mode & 07777u, command)),
      absl::StrCat("run `", command, "`; if others may have read it, ask for a new invitation"));
}

bool FileExists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoToStatus(errno, absl::StrCat("remove ", path));
}

absl::StatusOr<std::unique_ptr<DirectoryLock>> DirectoryLock::Acquire(const std::string& directory) {
  const std::string path = directory + "/lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoToStatus(errno, absl::StrCat("open ", path));
  std::unique_ptr<DirectoryLock> lock(new DirectoryLock(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = {};
    const ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
    return WithFix(
        absl::FailedPreconditionError(absl::StrFormat("%s is in use by another process%s%s: stop it first", directory,
                                                      n > 0 ? ", pid " : "", n > 0 ? holder : "")),
        "stop the process named above, or use another --dir");
  }
  const std::string pid = absl::StrCat(getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0)
    return ErrnoToStatus(errno, absl::StrCat("write ", path));
  return lock;
}

DirectoryLock::~DirectoryLock() { close(fd_); }

}  // namespace tributary
