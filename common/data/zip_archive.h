// Reads the members of a zip archive in memory: stored or deflated, sizes and CRC-32 checked, no encryption, no split
// archives, no more than 4 GiB. Every offset is checked: the bytes may come from anyone.
// Threads: const methods are safe from any thread. `bytes` must outlive the archive.
#ifndef TRIBUTARY_COMMON_DATA_ZIP_ARCHIVE_H_
#define TRIBUTARY_COMMON_DATA_ZIP_ARCHIVE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace tributary::data {

class ZipArchive {
 public:
  // INVALID_ARGUMENT, with the offset, when it is not a whole zip archive.
  static absl::StatusOr<ZipArchive> Open(std::string_view bytes);

  bool Has(const std::string& name) const { return members_.count(name) != 0; }
  // NOT_FOUND: no such member. RESOURCE_EXHAUSTED: it is larger than `max_bytes`. INVALID_ARGUMENT: damaged.
  absl::StatusOr<std::string> Read(const std::string& name, uint64_t max_bytes) const;

 private:
  struct Member {
    uint16_t flags = 0, method = 0;
    uint32_t crc = 0;
    uint64_t stored = 0, size = 0, header_at = 0;
  };
  explicit ZipArchive(std::string_view bytes) : bytes_(bytes) {}
  absl::Status ReadDirectory(uint64_t at, uint64_t size, uint64_t count);
  absl::StatusOr<std::string_view> Stored(const Member& member) const;

  std::string_view bytes_;
  std::map<std::string, Member> members_;
};

}  // namespace tributary::data

#endif  // TRIBUTARY_COMMON_DATA_ZIP_ARCHIVE_H_
