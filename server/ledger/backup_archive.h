// The backup file's format (backup.h), written and read as a stream. Internal to server/ledger.
// Threads: each object belongs to one thread.
#ifndef TRIBUTARY_SERVER_LEDGER_BACKUP_ARCHIVE_H_
#define TRIBUTARY_SERVER_LEDGER_BACKUP_ARCHIVE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/crypto/digest.h"

namespace tributary::ledger {

// Relative, without `.` and `..`: it cannot lead out of the directory that it is taken from.
bool IsInnerPath(const std::string& path);

class ArchiveWriter {
 public:
  // Makes `path` (0600). ALREADY_EXISTS when it is there.
  static absl::StatusOr<std::unique_ptr<ArchiveWriter>> Create(const std::string& path);
  // Without Finish the file is removed: half a backup is none.
  ~ArchiveWriter();
  ArchiveWriter(const ArchiveWriter&) = delete;
  ArchiveWriter& operator=(const ArchiveWriter&) = delete;

  // The content of `file` under the name `path`. NOT_FOUND when there is no such file; nothing is written then.
  absl::Status AddFile(const std::string& path, const std::string& file, uint32_t mode);
  absl::Status AddLink(const std::string& path, const std::string& target);
  // Trailer, then synced.
  absl::Status Finish();

 private:
  ArchiveWriter(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  absl::Status Write(std::string_view bytes);
  absl::Status WriteHead(char kind, const std::string& path, uint32_t mode, uint64_t size);
  absl::Status Copy(int from, const std::string& file, uint64_t size);

  const std::string path_;
  const int fd_;
  crypto::Sha256Hasher hash_;
  bool finished_ = false;
};

class ArchiveReader {
 public:
  // NOT_FOUND; DATA_LOSS when it is no backup.
  static absl::StatusOr<std::unique_ptr<ArchiveReader>> Open(const std::string& path);
  ~ArchiveReader();
  ArchiveReader(const ArchiveReader&) = delete;
  ArchiveReader& operator=(const ArchiveReader&) = delete;

  struct Entry {
    char kind = 'e';  // 'f', 'l', or 'e' at the end, when the file has proved whole
    std::string path;
    uint32_t mode = 0;
    uint64_t size = 0;
  };
  // DATA_LOSS when the file is damaged or cut short, or a path would lead out of the directory.
  absl::StatusOr<Entry> Next();
  // The content of the entry just read: into a new file, which the caller syncs, or as text (links).
  absl::Status CopyTo(const Entry& entry, const std::string& file);
  absl::StatusOr<std::string> ReadText(const Entry& entry);

 private:
  ArchiveReader(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  absl::Status Damaged(std::string_view what) const;
  absl::StatusOr<std::string> Take(uint64_t size);
  absl::Status CheckTrailer();

  const std::string path_;
  const int fd_;
  crypto::Sha256Hasher hash_;
};

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_BACKUP_ARCHIVE_H_
