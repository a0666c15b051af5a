// A power cut: preloaded (LD_PRELOAD) into the programs with fail points, for tests.
//
// What a program changes on the disk is remembered until a sync makes it last: the bytes of a file until fsync or
// fdatasync of that file, a name (made, renamed, removed) until fsync of its directory, to the letter of POSIX and less
// than most file systems keep. The fail point's action "power" calls tributary_lose_power(), which takes back what
// was not synced and ends the process.
//
// TRIBUTARY_POWER_ROOT   only paths that contain it count
// TRIBUTARY_POWER_SEED   a number: each change that was not synced is lost or kept by chance, as it happens when a disk
//                        writes in an order of its own; without it all of them are lost
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/preload.h"

namespace {

using tributary::preload::Next;
using tributary::preload::PathOf;

using Key = std::pair<dev_t, ino_t>;  // of the file or directory whose sync makes a change last

struct BytesChange {
  Key key;
  int fd;  // held: the file may have another name by then, or none
  off_t at, old_size, new_size;
  std::string old_bytes, new_bytes;  // from `at`
};
struct NameChange {
  Key key;
  std::function<void()> undo;
};

// Never destroyed: threads go on while the process ends.
struct Disk {
  std::recursive_mutex mu;
  std::vector<BytesChange> bytes;
  std::vector<NameChange> names;
  // Closing one would drop the locks that SQLite has on the file.
  std::map<Key, int> held;
};
Disk& disk() {
  static auto* const one = new Disk;
  return *one;
}

thread_local bool inside = false;  // our own calls are the disk's

// For the time of one call of the program: nothing else changes the disk, and errno is the call's.
class Guard {
 public:
  Guard() : lock_(disk().mu) { inside = true; }
  ~Guard() { inside = false; }

 private:
  const std::lock_guard<std::recursive_mutex> lock_;
};

bool Counts(const std::string& path) {
  static const char* const root = getenv("TRIBUTARY_POWER_ROOT");
  // The index of a write-ahead log is memory that happens to have a name.
  return root != nullptr && path.find(root) != std::string::npos && !path.ends_with("-shm");
}

std::string Absolute(const char* path) {
  std::error_code ignored;
  return std::filesystem::absolute(path, ignored).lexically_normal().string();
}

Key KeyOf(const struct stat& info) { return {info.st_dev, info.st_ino}; }

// Of the directory that a path is in.
Key ParentKey(const std::string& path) {
  struct stat info {};
  stat(std::filesystem::path(path).parent_path().c_str(), &info);
  return KeyOf(info);
}

std::string ReadAt(int fd, off_t at, off_t end) {
  std::string bytes(static_cast<size_t>(std::max<off_t>(0, end - at)), '\0');
  size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t n = pread(fd, bytes.data() + got, bytes.size() - got, at + static_cast<off_t>(got));
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  bytes.resize(got);
  return bytes;
}

int Hold(const Key& key, const char* path) {
  const auto found = disk().held.find(key);
  if (found != disk().held.end()) return found->second;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd >= 0) disk().held[key] = fd;
  return fd;
}

// Before `fd` gets `bytes` at `at`, or the size `new_size` (without bytes).
void NoteBytes(int fd, off_t at, std::string bytes, off_t new_size) {
  struct stat info {};
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || !Counts(PathOf(fd))) return;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  BytesChange change{KeyOf(info), Hold(KeyOf(info), link), at, info.st_size, std::max(new_size, off_t{0}),
                     "",          std::move(bytes)};
  if (change.fd < 0) _exit(98);  // the test would show nothing
  if (new_size < 0) change.new_size = std::max(info.st_size, at + static_cast<off_t>(change.new_bytes.size()));
  const off_t end =
      new_size < 0 ? std::min(info.st_size, at + static_cast<off_t>(change.new_bytes.size())) : info.st_size;
  change.old_bytes = ReadAt(change.fd, at, end);
  disk().bytes.push_back(std::move(change));
}

void NoteName(const std::string& path, std::function<void()> undo) {
  if (Counts(path)) disk().names.push_back({ParentKey(path), std::move(undo)});
}

// Makes the file or link again that `path` names now, whatever became of it.
std::function<void()> Restorer(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0 || !Counts(path)) return [] {};
  if (S_ISLNK(info.st_mode)) {
    std::error_code ignored;
    const std::string target = std::filesystem::read_symlink(path, ignored).string();
    return [path, target] { (void)!symlink(target.c_str(), path.c_str()); };
  }
  if (!S_ISREG(info.st_mode)) return [] {};
  const int old = Hold(KeyOf(info), path.c_str());
  return [path, old, mode = info.st_mode] {
    struct stat now {};
    fstat(old, &now);
    const std::string bytes = ReadAt(old, 0, now.st_size);
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode & 07777);
    (void)!write(fd, bytes.data(), bytes.size());
    close(fd);
  };
}

void Synced(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return;
  const auto is_of_it = [&](const auto& change) { return change.key == KeyOf(info); };
  std::erase_if(disk().bytes, is_of_it);
  std::erase_if(disk().names, is_of_it);
}

void Change(int fd, off_t at, const std::string& bytes, off_t size) {
  (void)!pwrite(fd, bytes.data(), bytes.size(), at);
  (void)!ftruncate(fd, size);
}

void LoseWhatIsNotSynced() {
  const char* const seed = getenv("TRIBUTARY_POWER_SEED");
  std::mt19937 random(seed == nullptr ? 0 : static_cast<unsigned>(atoi(seed)));
  const auto is_kept = [&] { return seed != nullptr && (random() & 1) != 0; };
  for (auto change = disk().bytes.rbegin(); change != disk().bytes.rend(); ++change)
    Change(change->fd, change->at, change->old_bytes, change->old_size);
  for (const BytesChange& change : disk().bytes)
    if (is_kept()) Change(change.fd, change.at, change.new_bytes, change.new_size);
  for (auto change = disk().names.rbegin(); change != disk().names.rend(); ++change)
    if (!is_kept()) change->undo();
}

ssize_t WriteAt(int fd, const void* bytes, size_t n, off_t at, const char* name) {
  static auto* const next = Next(name, pwrite64);
  if (inside) return next(fd, bytes, n, at);
  const Guard guard;
  NoteBytes(fd, at, std::string(static_cast<const char*>(bytes), n), -1);
  return next(fd, bytes, n, at);
}

int OpenAt(int directory, const char* path, int flags, mode_t mode) {
  static auto* const next = Next("openat64", openat);
  const bool changes = (flags & (O_CREAT | O_TRUNC)) != 0 && directory == AT_FDCWD;
  if (inside || !changes) return next(directory, path, flags, mode);
  const Guard guard;
  const std::string whole = Absolute(path);
  struct stat info {};
  const bool is_there = lstat(whole.c_str(), &info) == 0;
  if (is_there && (flags & O_TRUNC) != 0 && Counts(whole)) {
    const int fd = next(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    NoteBytes(fd, 0, "", 0);
    if (fd >= 0) close(fd);
  }
  const int fd = next(directory, path, flags, mode);
  if (fd >= 0 && !is_there) NoteName(whole, [whole] { unlink(whole.c_str()); });
  return fd;
}

}  // namespace

extern "C" {

void tributary_lose_power() {
  disk().mu.lock();  // for good: no other thread changes the disk any more
  inside = true;
  LoseWhatIsNotSynced();
  kill(getpid(), SIGKILL);
}

ssize_t write(int fd, const void* bytes, size_t n) {
  static auto* const next = Next("write", write);
  if (inside || fd <= 2) return next(fd, bytes, n);
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return next(fd, bytes, n);  // a pipe or socket may wait
  const Guard guard;
  const off_t at = (fcntl(fd, F_GETFL) & O_APPEND) != 0 ? info.st_size : lseek(fd, 0, SEEK_CUR);
  NoteBytes(fd, at, std::string(static_cast<const char*>(bytes), n), -1);
  return next(fd, bytes, n);
}
ssize_t pwrite(int fd, const void* bytes, size_t n, off_t at) { return WriteAt(fd, bytes, n, at, "pwrite64"); }
ssize_t pwrite64(int fd, const void* bytes, size_t n, off_t at) { return WriteAt(fd, bytes, n, at, "pwrite64"); }

int ftruncate(int fd, off_t size) noexcept {
  static auto* const next = Next("ftruncate64", ftruncate);
  if (inside) return next(fd, size);
  const Guard guard;
  NoteBytes(fd, size, "", size);
  return next(fd, size);
}
int ftruncate64(int fd, off_t size) noexcept { return ftruncate(fd, size); }
int truncate(const char* path, off_t size) noexcept {
  static auto* const next = Next("truncate64", truncate);
  if (inside) return next(path, size);
  const Guard guard;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  NoteBytes(fd, size, "", size);
  if (fd >= 0) close(fd);
  return next(path, size);
}
int truncate64(const char* path, off_t size) noexcept { return truncate(path, size); }

int fsync(int fd) {
  static auto* const next = Next("fsync", fsync);
  if (inside) return next(fd);
  const Guard guard;
  const int result = next(fd);
  if (result == 0) Synced(fd);
  return result;
}
int fdatasync(int fd) { return fsync(fd); }
int syncfs(int fd) noexcept {
  static auto* const next = Next("syncfs", syncfs);
  const Guard guard;
  const int result = next(fd);
  if (result == 0) {
    disk().bytes.clear();
    disk().names.clear();
  }
  return result;
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return OpenAt(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return OpenAt(AT_FDCWD, path, flags, mode);
}

int mkdir(const char* path, mode_t mode) noexcept {
  static auto* const next = Next("mkdir", mkdir);
  if (inside) return next(path, mode);
  const Guard guard;
  const int result = next(path, mode);
  const std::string whole = Absolute(path);
  if (result == 0) {
    NoteName(whole, [whole] {
      std::error_code ignored;
      std::filesystem::remove_all(whole, ignored);
    });
  }
  return result;
}
int symlink(const char* target, const char* path) noexcept {
  static auto* const next = Next("symlink", symlink);
  if (inside) return next(target, path);
  const Guard guard;
  const int result = next(target, path);
  const std::string whole = Absolute(path);
  if (result == 0) NoteName(whole, [whole] { unlink(whole.c_str()); });
  return result;
}
int rename(const char* from, const char* to) noexcept {
  static auto* const next = Next("rename", rename);
  if (inside) return next(from, to);
  const Guard guard;
  const std::string source = Absolute(from), target = Absolute(to);
  const std::function<void()> restore = Restorer(target);
  const int result = next(from, to);
  if (result == 0) {
    NoteName(target, [source, target, restore] {
      rename(target.c_str(), source.c_str());
      restore();
    });
  }
  return result;
}
int unlink(const char* path) noexcept {
  static auto* const next = Next("unlink", unlink);
  if (inside) return next(path);
  const Guard guard;
  const std::string whole = Absolute(path);
  const std::function<void()> restore = Restorer(whole);
  const int result = next(path);
  if (result == 0) NoteName(whole, restore);
  return result;
}
int remove(const char* path) noexcept {
  struct stat info {};
  return lstat(path, &info) == 0 && S_ISDIR(info.st_mode) ? rmdir(path) : unlink(path);
}
}
