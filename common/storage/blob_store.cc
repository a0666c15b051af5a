#include "common/storage/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/error_report.h"
#include "common/base/fail_point.h"
#include "common/base/file_descriptor.h"
#include "common/base/files.h"
#include "common/crypto/digest.h"

namespace tributary::storage {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 256 * 1024;
constexpr mode_t kBlobMode = 0600;
constexpr mode_t kDirectoryMode = 0700;
constexpr const char* kOfferedMark = ".offered";  // an empty file beside the blob
constexpr const char* kTemporaryMark = ".tmp-";   // as WriteFileDurably names what it has not renamed yet

absl::Status RequireDigest(const std::string& sha256) {
  if (IsHexDigest(sha256)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("not a digest: ", EscapeForLog(sha256, 80)));
}

absl::Status Damaged(const std::string& path) {
  constexpr const char* kFix = "restore this file from a backup";
  return WithFix(absl::DataLossError(absl::StrCat(path, ": its bytes do not fit its name (SHA-256); ", kFix)), kFix);
}

// Every file two levels down: BLOBS/ab/abcdef...
absl::Status ForEachFile(const std::string& root, const std::function<absl::Status(const fs::path&)>& visit) {
  std::error_code error;
  for (fs::directory_iterator folder(root, error), end; !error && folder != end; folder.increment(error)) {
    if (!folder->is_directory(error)) continue;
    for (fs::directory_iterator file(folder->path(), error), last; !error && file != last; file.increment(error))
      TRB_RETURN_IF_ERROR(visit(file->path()));
    if (error) break;
  }
  if (error) return ErrnoToStatus(error.value(), absl::StrCat("list ", root));
  return absl::OkStatus();
}

absl::Status SweepTemporary(const std::string& root) {
  return ForEachFile(root, [](const fs::path& path) {
    if (!absl::StrContains(path.filename().string(), kTemporaryMark)) return absl::OkStatus();
    return RemoveFile(path.string());
  });
}

absl::StatusOr<std::string> HashFile(const std::string& path,
                                     const std::function<absl::Status(std::string_view)>& piece, bool sync) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoToStatus(errno, absl::StrCat("open ", path));
  crypto::Sha256Hasher hash;
  std::string buffer(kPieceBytes, '\0');
  for (;;) {
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoToStatus(errno, absl::StrCat("read ", path));
    if (n == 0) break;
    const std::string_view bytes(buffer.data(), static_cast<size_t>(n));
    hash.Update(bytes);
    if (piece) TRB_RETURN_IF_ERROR(piece(bytes));
  }
  if (sync) TRB_RETURN_IF_ERROR(SyncFile(fd.get(), path));
  return hash.FinishHex();
}

}  // namespace

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(const std::string& directory, bool read_only) {
  const std::string root = absl::StrCat(directory, "/blobs");
  if (!read_only) {
    TRB_RETURN_IF_ERROR(MakeDirectories(root, kDirectoryMode));
    TRB_RETURN_IF_ERROR(SweepTemporary(root));
    // From here on a folder that is there counts as one that lasts, whoever made it and was killed.
    TRB_RETURN_IF_ERROR(SyncDirectory(root));
  }
  return std::unique_ptr<BlobStore>(new BlobStore(root));
}

std::string BlobStore::PathOf(const std::string& sha256) const {
  return absl::StrCat(root_, "/", sha256.substr(0, 2), "/", sha256);
}

// One at a time: a folder that somebody else is making is there before it lasts.
absl::Status BlobStore::MakeFolder(const std::string& sha256) {
  const std::string folder = absl::StrCat(root_, "/", sha256.substr(0, 2));
  const MutexLock lock(&mu_);
  if (FileExists(folder)) return absl::OkStatus();
  TRB_RETURN_IF_ERROR(MakeDirectories(folder, kDirectoryMode));
  TRB_FAIL_POINT("blob.folder_made");
  return absl::OkStatus();
}

absl::StatusOr<std::string> BlobStore::Put(std::string_view bytes) {
  const std::string sha256 = crypto::Sha256Hex(bytes);
  // A blob that is there and whole is used as it is; one that does not fit its name is written anew.
  // Its directory is synced again: whoever wrote it may not have come that far.
  if (Verify(sha256).ok()) {
    TRB_RETURN_IF_ERROR(SyncDirectory(fs::path(PathOf(sha256)).parent_path().string()));
    return sha256;
  }
  TRB_RETURN_IF_ERROR(MakeFolder(sha256));
  TRB_RETURN_IF_ERROR(WriteFileDurably(PathOf(sha256), bytes, kBlobMode));
  return sha256;
}

absl::Status BlobStore::Adopt(const std::string& path, const std::string& expected_sha256) {
  TRB_RETURN_IF_ERROR(RequireDigest(expected_sha256));
  TRB_ASSIGN_OR_RETURN(const std::string actual, HashFile(path, nullptr, /*sync=*/true));
  if (actual != expected_sha256)
    return absl::InvalidArgumentError(absl::StrCat(path, ": its digest is ", actual, ", not ", expected_sha256));
  TRB_FAIL_POINT("blob.adopt");
  TRB_RETURN_IF_ERROR(MakeFolder(expected_sha256));
  const std::string target = PathOf(expected_sha256);
  if (chmod(path.c_str(), kBlobMode) != 0) return ErrnoToStatus(errno, absl::StrCat("chmod ", path));
  if (rename(path.c_str(), target.c_str()) != 0)
    return ErrnoToStatus(errno, absl::StrCat("rename ", path, " to ", target));
  TRB_FAIL_POINT("blob.adopt_renamed");
  TRB_RETURN_IF_ERROR(SyncDirectory(fs::path(target).parent_path().string()));
  TRB_FAIL_POINT("blob.adopted");
  return absl::OkStatus();
}

absl::StatusOr<std::string> BlobStore::Get(const std::string& sha256) const {
  TRB_RETURN_IF_ERROR(RequireDigest(sha256));
  TRB_ASSIGN_OR_RETURN(std::string bytes, ReadFile(PathOf(sha256)));
  if (crypto::Sha256Hex(bytes) != sha256) return Damaged(PathOf(sha256));
  return bytes;
}

absl::Status BlobStore::Read(const std::string& sha256,
                             const std::function<absl::Status(std::string_view)>& piece) const {
  TRB_RETURN_IF_ERROR(RequireDigest(sha256));
  TRB_ASSIGN_OR_RETURN(const std::string actual, HashFile(PathOf(sha256), piece, /*sync=*/false));
  return actual == sha256 ? absl::OkStatus() : Damaged(PathOf(sha256));
}

bool BlobStore::Contains(const std::string& sha256) const { return IsHexDigest(sha256) && FileExists(PathOf(sha256)); }

absl::StatusOr<uint64_t> BlobStore::Size(const std::string& sha256) const {
  TRB_RETURN_IF_ERROR(RequireDigest(sha256));
  struct stat info {};
  if (stat(PathOf(sha256).c_str(), &info) != 0) return ErrnoToStatus(errno, absl::StrCat("stat ", PathOf(sha256)));
  return static_cast<uint64_t>(info.st_size);
}

absl::Status BlobStore::Verify(const std::string& sha256) const { return Read(sha256, nullptr); }

absl::Status BlobStore::Remove(const std::string& sha256) {
  TRB_RETURN_IF_ERROR(RequireDigest(sha256));
  TRB_FAIL_POINT("blob.remove");
  TRB_RETURN_IF_ERROR(RemoveFile(PathOf(sha256)));
  TRB_FAIL_POINT("blob.removed");
  return RemoveFile(PathOf(sha256) + kOfferedMark);
}

absl::Status BlobStore::Offer(const std::string& sha256) {
  if (!Contains(sha256)) return absl::NotFoundError(absl::StrCat("no blob ", EscapeForLog(sha256, 80)));
  return WriteFileDurably(PathOf(sha256) + kOfferedMark, "", kBlobMode);
}

absl::StatusOr<absl::Time> BlobStore::OfferedAt(const std::string& sha256) const {
  TRB_RETURN_IF_ERROR(RequireDigest(sha256));
  struct stat info {};
  if (stat((PathOf(sha256) + kOfferedMark).c_str(), &info) != 0)
    return ErrnoToStatus(errno, absl::StrCat("stat ", PathOf(sha256), kOfferedMark));
  return absl::TimeFromTimespec(info.st_mtim);
}

absl::StatusOr<std::vector<std::string>> BlobStore::List() const {
  std::vector<std::string> digests;
  if (!FileExists(root_)) return digests;
  TRB_RETURN_IF_ERROR(ForEachFile(root_, [&](const fs::path& path) {
    if (IsHexDigest(path.filename().string())) digests.push_back(path.filename().string());
    return absl::OkStatus();
  }));
  std::sort(digests.begin(), digests.end());
  return digests;
}

}  // namespace tributary::storage
