// An open file that closes itself, and writing all of something to it.
// Threads: an Fd belongs to one thread at a time.
#ifndef TRIBUTARY_COMMON_BASE_FILE_DESCRIPTOR_H_
#define TRIBUTARY_COMMON_BASE_FILE_DESCRIPTOR_H_

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace tributary {

class Fd {
 public:
  // Takes over `fd`; below 0 it holds nothing.
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd();
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// Goes on after short writes and signals. Errors as ErrnoToStatus, naming `path`.
absl::Status WriteAll(int fd, std::string_view bytes, const std::string& path);

}  // namespace tributary

#endif  // TRIBUTARY_COMMON_BASE_FILE_DESCRIPTOR_H_
