#include "server/ledger/backup_archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/file_descriptor.h"
#include "common/base/files.h"

namespace tributary::ledger {
namespace {

constexpr std::string_view kMagic = "tributary-backup/v1\n";
constexpr size_t kPieceBytes = 256 * 1024;
constexpr uint64_t kMaxPathBytes = 4096;
constexpr size_t kDigestBytes = 32;

// 0 at the end of the file.
absl::StatusOr<size_t> ReadSome(int fd, char* into, size_t size, const std::string& path) {
  for (;;) {
    const ssize_t n = read(fd, into, size);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return ErrnoToStatus(errno, absl::StrCat("read ", path));
  }
}

}  // namespace

bool IsInnerPath(const std::string& path) {
  const std::filesystem::path p(path);
  if (path.empty() || path.find('\0') != std::string::npos || p.is_absolute()) return false;
  return std::none_of(p.begin(), p.end(), [](const auto& part) { return part == ".." || part == "."; });
}

absl::StatusOr<std::unique_ptr<ArchiveWriter>> ArchiveWriter::Create(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoToStatus(errno, absl::StrCat("create ", path));
  std::unique_ptr<ArchiveWriter> writer(new ArchiveWriter(path, fd));
  TRB_RETURN_IF_ERROR(writer->Write(kMagic));
  return writer;
}

ArchiveWriter::~ArchiveWriter() {
  close(fd_);
  if (!finished_) unlink(path_.c_str());
}

absl::Status ArchiveWriter::Write(std::string_view bytes) {
  hash_.Update(bytes);
  return WriteAll(fd_, bytes, path_);
}

absl::Status ArchiveWriter::WriteHead(char kind, const std::string& path, uint32_t mode, uint64_t size) {
  std::string head(1, kind);
  AppendLengthPrefixed(&head, path);
  AppendLe32(&head, mode);
  AppendLe64(&head, size);
  return Write(head);
}

absl::Status ArchiveWriter::Copy(int from, const std::string& file, uint64_t size) {
  std::string piece(kPieceBytes, '\0');
  while (size > 0) {
    TRB_ASSIGN_OR_RETURN(const size_t n, ReadSome(from, piece.data(), std::min<uint64_t>(piece.size(), size), file));
    if (n == 0) return absl::AbortedError(absl::StrCat(file, ": became shorter while it was copied"));
    TRB_RETURN_IF_ERROR(Write(std::string_view(piece).substr(0, n)));
    size -= n;
  }
  return absl::OkStatus();
}

absl::Status ArchiveWriter::AddFile(const std::string& path, const std::string& file, uint32_t mode) {
  const Fd from(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (from.get() < 0) return ErrnoToStatus(errno, absl::StrCat("open ", file));
  struct stat info {};
  if (fstat(from.get(), &info) != 0) return ErrnoToStatus(errno, absl::StrCat("stat ", file));
  const auto size = static_cast<uint64_t>(info.st_size);
  TRB_RETURN_IF_ERROR(WriteHead('f', path, mode, size));
  return Copy(from.get(), file, size);
}

absl::Status ArchiveWriter::AddLink(const std::string& path, const std::string& target) {
  TRB_RETURN_IF_ERROR(WriteHead('l', path, 0, target.size()));
  return Write(target);
}

absl::Status ArchiveWriter::Finish() {
  TRB_RETURN_IF_ERROR(Write("e"));
  TRB_RETURN_IF_ERROR(WriteAll(fd_, hash_.Finish(), path_));
  if (fsync(fd_) != 0) return ErrnoToStatus(errno, absl::StrCat("fsync ", path_));
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  TRB_RETURN_IF_ERROR(SyncDirectory(folder.empty() ? "." : folder));
  finished_ = true;
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ArchiveReader>> ArchiveReader::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoToStatus(errno, absl::StrCat("open ", path));
  std::unique_ptr<ArchiveReader> reader(new ArchiveReader(path, fd));
  const auto magic = reader->Take(kMagic.size());
  if (!magic.ok() || *magic != kMagic) return absl::DataLossError(absl::StrCat(path, ": is not a backup of ours"));
  return reader;
}

ArchiveReader::~ArchiveReader() { close(fd_); }

absl::Status ArchiveReader::Damaged(std::string_view what) const {
  return absl::DataLossError(absl::StrCat(path_, ": the backup is damaged: ", std::string(what)));
}

// Exactly so many bytes, at most one piece at a time.
absl::StatusOr<std::string> ArchiveReader::Take(uint64_t size) {
  std::string bytes(size, '\0');
  size_t have = 0;
  while (have < bytes.size()) {
    TRB_ASSIGN_OR_RETURN(const size_t n, ReadSome(fd_, bytes.data() + have, bytes.size() - have, path_));
    if (n == 0) return Damaged("it is cut short");
    have += n;
  }
  hash_.Update(bytes);
  return bytes;
}

absl::Status ArchiveReader::CheckTrailer() {
  const std::string expected = hash_.Finish();
  std::string trailer(kDigestBytes + 1, '\0');  // one more than there should be
  size_t have = 0;
  while (have < trailer.size()) {
    TRB_ASSIGN_OR_RETURN(const size_t n, ReadSome(fd_, trailer.data() + have, trailer.size() - have, path_));
    if (n == 0) break;
    have += n;
  }
  trailer.resize(have);
  return trailer == expected ? absl::OkStatus() : Damaged("its digest does not fit");
}

absl::StatusOr<ArchiveReader::Entry> ArchiveReader::Next() {
  Entry entry;
  TRB_ASSIGN_OR_RETURN(const std::string kind, Take(1));
  entry.kind = kind[0];
  if (entry.kind == 'e') {
    TRB_RETURN_IF_ERROR(CheckTrailer());
    return entry;
  }
  if (entry.kind != 'f' && entry.kind != 'l') return Damaged("an entry of no known kind");
  TRB_ASSIGN_OR_RETURN(const std::string length, Take(8));
  if (LoadLe64(length.data()) > kMaxPathBytes) return Damaged("a path is too long");
  TRB_ASSIGN_OR_RETURN(entry.path, Take(LoadLe64(length.data())));
  if (!IsInnerPath(entry.path)) return Damaged("a path leads out of the directory");
  TRB_ASSIGN_OR_RETURN(const std::string rest, Take(12));
  entry.mode = LoadLe32(rest.data()) & 0777;
  entry.size = LoadLe64(rest.data() + 4);
  return entry;
}

absl::Status ArchiveReader::CopyTo(const Entry& entry, const std::string& file) {
  const Fd to(open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, entry.mode));
  if (to.get() < 0) return ErrnoToStatus(errno, absl::StrCat("create ", file));
  for (uint64_t left = entry.size; left > 0;) {
    TRB_ASSIGN_OR_RETURN(const std::string piece, Take(std::min<uint64_t>(left, kPieceBytes)));
    TRB_RETURN_IF_ERROR(WriteAll(to.get(), piece, file));
    left -= piece.size();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ArchiveReader::ReadText(const Entry& entry) {
  if (entry.size > kMaxPathBytes) return Damaged("a link's target is too long");
  return Take(entry.size);
}

}  // namespace tributary::ledger
