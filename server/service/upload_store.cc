#include "server/service/upload_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/fail_point.h"
#include "common/base/files.h"
#include "common/update/rejection.h"

namespace tributary::service {
namespace {

constexpr size_t kIdHalf = 32;                       // hexadecimal characters of each half of an upload id
constexpr uint64_t kDiskReserveBytes = 64ull << 20;  // room that uploads leave to the ledger
constexpr auto kIgnoreValues = [](size_t, std::span<const float>) { return absl::OkStatus(); };

std::string TaskPart(const std::string& task_id) { return crypto::Sha256Hex(task_id).substr(0, kIdHalf) + "-"; }

absl::Status WriteAll(int fd, std::string_view data, uint64_t offset, const std::string& path) {
  while (!data.empty()) {
    const ssize_t n = pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoToStatus(errno, "write " + path);
    data.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return absl::OkStatus();
}

// What the bytes are read as.
bool HaveSameForm(const AnnouncedUpdate& a, const AnnouncedUpdate& b) {
  return a.record.encoding() == b.record.encoding() && a.record.length() == b.record.length() &&
         a.parameters == b.parameters;
}

absl::Status CheckRoom(const std::string& root, uint64_t bytes) {
  struct statvfs fs {};
  if (statvfs(root.c_str(), &fs) != 0) return ErrnoToStatus(errno, "statvfs " + root);
  if (uint64_t{fs.f_bavail} * fs.f_frsize >= bytes + kDiskReserveBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError("the coordinator's disk is full; try again later");
}

}  // namespace

// ---- Upload

Upload::Upload(AnnouncedUpdate announced, std::string path)
    : announced_(std::move(announced)), path_(std::move(path)) {}

Upload::~Upload() {
  MutexLock lock(&mu_);
  CloseLocked();
}

void Upload::CloseLocked() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

absl::StatusOr<uint64_t> Upload::Announce(std::unique_ptr<Progress> progress) {
  MutexLock lock(&mu_);
  ++stream_;
  CloseLocked();
  if (progress != nullptr) progress_ = std::move(progress);
  struct stat info {};
  if (stat(path_.c_str(), &info) != 0) {
    if (errno != ENOENT) return ErrnoToStatus(errno, "stat " + path_);
    return uint64_t{0};
  }
  const uint64_t there = static_cast<uint64_t>(info.st_size);
  if (there > announced_.record.length()) {
    if (truncate(path_.c_str(), 0) != 0) return ErrnoToStatus(errno, "truncate " + path_);
    return uint64_t{0};
  }
  return there;
}

std::unique_ptr<Upload::Progress> Upload::Retire() {
  MutexLock lock(&mu_);
  retired_ = true;
  ++stream_;
  CloseLocked();
  return std::move(progress_);
}

absl::StatusOr<uint64_t> Upload::Begin() {
  MutexLock lock(&mu_);
  if (retired_) return absl::AbortedError("this update was announced anew");
  ++stream_;
  CloseLocked();
  fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0) return ErrnoToStatus(errno, "open " + path_);
  struct stat info {};
  const bool is_known =
      progress_ != nullptr && fstat(fd_, &info) == 0 && static_cast<uint64_t>(info.st_size) == progress_->size;
  if (!is_known) TRB_RETURN_IF_ERROR(ReadBackLocked());
  return stream_;
}

absl::Status Upload::ReadBackLocked() {
  progress_ = nullptr;
  auto decoder = update::DeltaDecoder::Create(announced_.record.encoding(), announced_.parameters);
  if (!decoder.ok()) {
    CloseLocked();
    return decoder.status();
  }
  progress_ = std::make_unique<Progress>(Progress{{}, *std::move(decoder)});
  std::string piece(update::kChunkBytes, '\0');
  while (true) {
    const ssize_t n = pread(fd_, piece.data(), piece.size(), static_cast<off_t>(progress_->size));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const absl::Status failed = ErrnoToStatus(errno, "read " + path_);
      AbandonLocked();
      return failed;
    }
    if (n == 0) break;
    // What a crash damaged may look like a bad update: not the client's fault, so it starts over.
    if (!ConsumeLocked(std::string_view(piece.data(), static_cast<size_t>(n))).ok()) return StartOverLocked();
  }
  progress_->earlier = progress_->size > 0;
  return absl::OkStatus();
}

absl::Status Upload::ConsumeLocked(std::string_view data) {
  TRB_RETURN_IF_ERROR(progress_->decoder.Consume(data, kIgnoreValues));
  progress_->hasher.Update(data);
  progress_->size += data.size();
  return absl::OkStatus();
}

void Upload::AbandonLocked() {
  CloseLocked();
  progress_ = nullptr;
}

absl::Status Upload::StartOverLocked() {
  AbandonLocked();
  if (truncate(path_.c_str(), 0) != 0) return ErrnoToStatus(errno, "truncate " + path_);
  return absl::AbortedError("the bytes kept of this update were damaged: announce it again");
}

absl::Status Upload::CheckTurnLocked(uint64_t stream) const {
  if (stream == stream_ && fd_ >= 0) return absl::OkStatus();
  return absl::AbortedError("a newer stream brings this update");
}

absl::Status Upload::Append(uint64_t stream, uint64_t offset, std::string_view data) {
  MutexLock lock(&mu_);
  TRB_RETURN_IF_ERROR(CheckTurnLocked(stream));
  const uint64_t at = progress_->size;
  if (offset != at) {
    return absl::AbortedError(absl::StrCat("the next offset is ", at, ", not ", offset, ": announce it again"));
  }
  if (data.size() > announced_.record.length() - at) {
    return update::Reject(update::kWrongShape, "more bytes than announced");
  }
  const absl::Status kept = KeepLocked(at, data);
  if (!kept.ok()) AbandonLocked();  // it may be ahead of the file now
  return kept;
}

// Written only when the content passes: nothing that was refused is kept.
absl::Status Upload::KeepLocked(uint64_t at, std::string_view data) {
  TRB_RETURN_IF_ERROR(ConsumeLocked(data));
  TRB_FAIL_POINT("upload.write");
  TRB_RETURN_IF_ERROR(WriteAll(fd_, data, at, path_));
  TRB_FAIL_POINT("upload.written");
  return absl::OkStatus();
}

bool Upload::Complete(uint64_t stream) {
  MutexLock lock(&mu_);
  return stream == stream_ && fd_ >= 0 && progress_->size == announced_.record.length();
}

absl::Status Upload::Finish(uint64_t stream) {
  MutexLock lock(&mu_);
  TRB_RETURN_IF_ERROR(CheckTurnLocked(stream));
  const std::string digest = progress_->hasher.FinishHex();
  const bool is_right = digest == announced_.record.update_sha256(), earlier = progress_->earlier;
  const absl::Status whole = progress_->decoder.Finish();
  AbandonLocked();  // the hasher has ended
  if (is_right) return whole;
  if (earlier) return StartOverLocked();
  return update::Reject(update::kWrongDigest, absl::StrCat("the bytes have the digest ", digest));
}

void Upload::Release(uint64_t stream) {
  MutexLock lock(&mu_);
  if (stream != stream_) return;
  CloseLocked();
  if (progress_ != nullptr) progress_->decoder.Rest();
}

// ---- UploadStore

absl::StatusOr<std::unique_ptr<UploadStore>> UploadStore::Open(const std::string& directory) {
  const std::string root = directory + "/partial";
  TRB_RETURN_IF_ERROR(MakeDirectories(root, 0700));
  TRB_ASSIGN_OR_RETURN(std::set<std::string> files, List(root));
  return std::unique_ptr<UploadStore>(new UploadStore(root, std::move(files)));
}

std::string UploadStore::UploadId(const std::string& task_id, const std::string& update_sha256) {
  return TaskPart(task_id) + crypto::Sha256Hex(update_sha256).substr(0, kIdHalf);
}

absl::StatusOr<UploadStore::Ticket> UploadStore::Announce(AnnouncedUpdate announced) {
  const std::string task = TaskPart(announced.record.task_id());
  const std::string id = UploadId(announced.record.task_id(), announced.record.update_sha256());
  TRB_RETURN_IF_ERROR(CheckRoom(root_, announced.record.length()));
  for (const std::string& other : Others(task, id)) Drop(other);
  auto upload = std::make_shared<Upload>(std::move(announced), absl::StrCat(root_, "/", id));
  std::shared_ptr<Upload> older;
  {
    MutexLock lock(&mu_);
    files_.insert(id);
    older = std::exchange(uploads_[id], upload);
  }
  // The file is the same: the older stream must be off it before its size is read.
  std::unique_ptr<Upload::Progress> progress;
  if (older != nullptr) progress = older->Retire();
  if (progress != nullptr && !HaveSameForm(older->announced(), upload->announced())) progress = nullptr;
  TRB_ASSIGN_OR_RETURN(const uint64_t offset, upload->Announce(std::move(progress)));
  return Ticket{id, offset};
}

std::vector<std::string> UploadStore::Others(const std::string& task_part, const std::string& upload_id) {
  MutexLock lock(&mu_);
  std::vector<std::string> others;
  for (auto it = files_.lower_bound(task_part); it != files_.end() && absl::StartsWith(*it, task_part); ++it) {
    if (*it != upload_id) others.push_back(*it);
  }
  return others;
}

absl::StatusOr<std::shared_ptr<Upload>> UploadStore::Find(const std::string& upload_id, const std::string& client_id) {
  MutexLock lock(&mu_);
  const auto it = uploads_.find(upload_id);
  if (it == uploads_.end() || it->second->announced().record.client_id() != client_id) {
    return absl::NotFoundError("no such upload: announce it first");
  }
  return it->second;
}

void UploadStore::Drop(const std::string& upload_id) {
  std::shared_ptr<Upload> dropped;
  {
    MutexLock lock(&mu_);
    files_.erase(upload_id);
    const auto it = uploads_.find(upload_id);
    if (it != uploads_.end()) {
      dropped = std::move(it->second);
      uploads_.erase(it);
    }
  }
  if (dropped != nullptr) dropped->Retire();
  (void)RemoveFile(absl::StrCat(root_, "/", upload_id));
}

absl::StatusOr<std::set<std::string>> UploadStore::List(const std::string& root) {
  DIR* dir = opendir(root.c_str());
  if (dir == nullptr) return ErrnoToStatus(errno, "open " + root);
  std::set<std::string> files;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.') files.emplace(entry->d_name);
  }
  closedir(dir);
  return files;
}

absl::Status UploadStore::Sweep(const OpenTasks& open_tasks) {
  TRB_ASSIGN_OR_RETURN(std::set<std::string> files, List(root_));
  {
    MutexLock lock(&mu_);
    files.insert(files_.begin(), files_.end());
  }
  TRB_ASSIGN_OR_RETURN(const std::set<std::string> open, open_tasks());
  std::set<std::string> keep;
  for (const std::string& task : open) keep.insert(TaskPart(task));
  for (const std::string& file : files) {
    if (keep.count(file.substr(0, kIdHalf + 1)) == 0) Drop(file);
  }
  return absl::OkStatus();
}

}  // namespace tributary::service
