// A disk that fails: preloaded (LD_PRELOAD) into the real programs, for tests.
//
// TRIBUTARY_DISK_FAULTS names a file that is read at every call below; without it, or while it is empty, nothing fails.
// So a test makes a disk full, and gives it room again, by writing the file. A line is a rule:
//   write PART ERRNO [SKIP]   write, pwrite, ftruncate and fallocate on a path that contains PART fail with ERRNO,
//   after
//                             SKIP calls that it fits; ENOSPC and EFBIG after half of the bytes, as a full disk does
//   sync PART ERRNO [SKIP]    fsync, fdatasync
//   open PART ERRNO [SKIP]    open for writing, mkdir, rename, unlink
//   free PART BYTES           statvfs says that so many bytes are free
// ERRNO is a number; PART ends with $ when the path has to end there. The first rule that fits counts. Calls are
// counted from the start of the process, a rule by its text. What failed is noted in the file's name + ".fired", a line
// a call.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "tests/support/preload.h"

namespace {

using tributary::preload::Next;
using tributary::preload::PathOf;

// System calls themselves: libc's names lead back here.
std::string ReadRules() {
  const char* const path = getenv("TRIBUTARY_DISK_FAULTS");
  if (path == nullptr) return "";
  const long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  char text[4096];
  const long n = syscall(SYS_read, fd, text, sizeof text);
  syscall(SYS_close, fd);
  return n > 0 ? std::string(text, static_cast<size_t>(n)) : "";
}

struct Rule {
  char call[16] = "", part[256] = "";
  long long value = 0, skip = 0;
};

// How often each rule has fitted.
bool IsDue(const std::string& line, long long skip) {
  static std::mutex mu;
  static std::map<std::string, long long> fitted;
  const std::lock_guard<std::mutex> lock(mu);
  return ++fitted[line] > skip;
}

bool Fits(const std::string& path, std::string part) {
  if (part.back() != '$') return path.find(part) != std::string::npos;
  part.pop_back();
  return path.size() >= part.size() && path.compare(path.size() - part.size(), part.size(), part) == 0;
}

void NoteFired(const char* call, const std::string& path) {
  const std::string file = std::string(getenv("TRIBUTARY_DISK_FAULTS")) + ".fired";
  const std::string line = std::string(call) + " " + path + "\n";
  const long fd = syscall(SYS_openat, AT_FDCWD, file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  syscall(SYS_write, fd, line.data(), line.size());
  syscall(SYS_close, fd);
}

// The value of the first rule that fits and is due; 0 when there is none.
long long Fault(const char* call, const std::string& path) {
  const int kept = errno;
  const std::string rules = ReadRules();
  long long value = 0;
  for (size_t at = 0; at < rules.size() && value == 0;) {
    const size_t end = std::min(rules.find('\n', at), rules.size());
    const std::string line = rules.substr(at, end - at);
    at = end + 1;
    Rule rule;
    const int fields = sscanf(line.c_str(), "%15s %255s %lld %lld", rule.call, rule.part, &rule.value, &rule.skip);
    if (fields < 3 || strcmp(rule.call, call) != 0 || !Fits(path, rule.part)) continue;
    if (IsDue(line, rule.skip)) value = rule.value;
  }
  if (value != 0) NoteFired(call, path);
  errno = kept;
  return value;
}

int Fail(long long error_number) {
  errno = static_cast<int>(error_number);
  return -1;
}

// A disk that gets full in the middle of a write takes what there was room for.
bool TakesHalf(long long error_number, size_t n) { return (error_number == ENOSPC || error_number == EFBIG) && n > 1; }

ssize_t WriteAt(int fd, const void* bytes, size_t n, off_t at, const char* name) {
  static auto* const next = Next(name, pwrite64);
  static thread_local bool half = false;  // the half has been taken: the rest finds no room
  const long long error_number = Fault("write", PathOf(fd));
  if (error_number == 0) return next(fd, bytes, n, at);
  half = !half && TakesHalf(error_number, n);
  return half ? next(fd, bytes, n / 2, at) : Fail(error_number);
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t n) {
  static auto* const next = Next("write", write);
  static thread_local bool half = false;
  const long long error_number = fd > 2 ? Fault("write", PathOf(fd)) : 0;
  if (error_number == 0) return next(fd, bytes, n);
  half = !half && TakesHalf(error_number, n);
  return half ? next(fd, bytes, n / 2) : Fail(error_number);
}
ssize_t pwrite(int fd, const void* bytes, size_t n, off_t at) { return WriteAt(fd, bytes, n, at, "pwrite64"); }
ssize_t pwrite64(int fd, const void* bytes, size_t n, off_t at) { return WriteAt(fd, bytes, n, at, "pwrite64"); }

int ftruncate(int fd, off_t size) noexcept {
  static auto* const next = Next("ftruncate64", ftruncate);
  const long long error_number = Fault("write", PathOf(fd));
  return error_number == 0 ? next(fd, size) : Fail(error_number);
}
int ftruncate64(int fd, off_t size) noexcept { return ftruncate(fd, size); }

int fsync(int fd) {
  static auto* const next = Next("fsync", fsync);
  const long long error_number = Fault("sync", PathOf(fd));
  return error_number == 0 ? next(fd) : Fail(error_number);
}
int fdatasync(int fd) {
  static auto* const next = Next("fdatasync", fdatasync);
  const long long error_number = Fault("sync", PathOf(fd));
  return error_number == 0 ? next(fd) : Fail(error_number);
}

int open(const char* path, int flags, ...) {
  static auto* const next = Next("open64", open);
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  const long long error_number = (flags & O_ACCMODE) != O_RDONLY ? Fault("open", path) : 0;
  return error_number == 0 ? next(path, flags, mode) : Fail(error_number);
}
int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open(path, flags, mode);
}

int mkdir(const char* path, mode_t mode) noexcept {
  static auto* const next = Next("mkdir", mkdir);
  const long long error_number = Fault("open", path);
  return error_number == 0 ? next(path, mode) : Fail(error_number);
}
int rename(const char* from, const char* to) noexcept {
  static auto* const next = Next("rename", rename);
  const long long error_number = Fault("open", to);
  return error_number == 0 ? next(from, to) : Fail(error_number);
}
int unlink(const char* path) noexcept {
  static auto* const next = Next("unlink", unlink);
  const long long error_number = Fault("open", path);
  return error_number == 0 ? next(path) : Fail(error_number);
}

int statvfs(const char* path, struct statvfs* info) noexcept {
  static auto* const next = Next("statvfs64", statvfs);
  const int result = next(path, info);
  const long long bytes = Fault("free", path);
  if (result == 0 && bytes > 0) info->f_bavail = static_cast<fsblkcnt_t>(bytes) / info->f_frsize;
  return result;
}
int statvfs64(const char* path, struct statvfs64* info) noexcept {
  return statvfs(path, reinterpret_cast<struct statvfs*>(info));
}
}
