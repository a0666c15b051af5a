#include "server/ledger/backup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/file_descriptor.h"
#include "common/base/files.h"
#include "common/storage/blob_store.h"
#include "server/ledger/backup_archive.h"
#include "server/ledger/ledger_store.h"

namespace tributary::ledger {
namespace {

namespace fs = std::filesystem;
using storage::Database;
using storage::Row;

constexpr const char* kLedgerName = "ledger.db";
constexpr uint64_t kMostPrivateKeyBytes = 64 * 1024;  // no key is longer; larger files are not looked into

// Every model, and every update that was not deleted.
constexpr const char* kBlobsNeeded =
    "SELECT initial_model_sha256 FROM runs UNION SELECT model_sha256 FROM rounds WHERE model_sha256 <> '' "
    "UNION SELECT update_sha256 FROM updates WHERE update_sha256 NOT IN (SELECT sha256 FROM deleted_blobs)";

struct stat StatOf(const fs::path& path) {
  struct stat info {};
  lstat(path.c_str(), &info);
  return info;
}

bool HoldsPrivateKey(const fs::path& path) {
  const auto text = ReadFile(path.string(), kMostPrivateKeyBytes);
  return text.ok() && absl::StrContains(*text, "PRIVATE KEY-----");
}

// The ledger and the blobs are copied in their own way; half-way uploads and the lock belong to this machine.
bool IsLeftOut(const fs::path& relative) {
  const std::string first = relative.begin()->string();
  return first == "blobs" || first == "partial" || first == "lock" || absl::StartsWith(first, kLedgerName) ||
         absl::StrContains(relative.filename().string(), ".tmp-");
}

// A file beside the archive that is gone with this object.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  ~TemporaryFile() {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) unlink(absl::StrCat(path_, suffix).c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

class BackupWriter {
 public:
  BackupWriter(std::string directory, bool with_keys, ArchiveWriter* archive)
      : directory_(std::move(directory)), with_keys_(with_keys), archive_(*archive) {}

  absl::Status AddSettings() {
    std::error_code error;
    for (fs::recursive_directory_iterator it(directory_, error), end; !error && it != end; it.increment(error)) {
      const fs::path relative = it->path().lexically_relative(directory_);
      if (IsLeftOut(relative)) {
        it.disable_recursion_pending();
      } else {
        TRB_RETURN_IF_ERROR(AddSetting(it->path(), relative.string()));
      }
    }
    if (error) return ErrnoToStatus(error.value(), absl::StrCat("list ", directory_));
    return absl::OkStatus();
  }

  // The blobs that this state of the ledger needs. One that was deleted meanwhile is noted in the copy as well.
  absl::Status AddBlobs(Database& copy, Database& live, const storage::BlobStore& blobs) {
    std::vector<std::string> digests;
    TRB_RETURN_IF_ERROR(copy.Query(kBlobsNeeded, {}, [&](const Row& row) {
      digests.push_back(row.Text(0));
      return absl::OkStatus();
    }));
    for (const std::string& sha256 : digests) {
      const absl::Status added =
          AddFile(absl::StrCat("blobs/", sha256.substr(0, 2), "/", sha256), blobs.PathOf(sha256), 0600);
      if (!absl::IsNotFound(added)) {
        TRB_RETURN_IF_ERROR(added);
        continue;
      }
      TRB_RETURN_IF_ERROR(CopyNote(copy, live, sha256));
    }
    return absl::OkStatus();
  }

  absl::Status AddFile(const std::string& name, const std::string& file, uint32_t mode) {
    TRB_RETURN_IF_ERROR(archive_.AddFile(name, file, mode));
    ++summary_.files;
    summary_.bytes += static_cast<uint64_t>(StatOf(file).st_size);
    return absl::OkStatus();
  }
  const BackupSummary& summary() const { return summary_; }

 private:
  absl::Status AddSetting(const fs::path& path, const std::string& name) {
    std::error_code error;
    if (fs::is_symlink(path, error)) return archive_.AddLink(name, fs::read_symlink(path, error).string());
    if (!fs::is_regular_file(path, error)) return absl::OkStatus();
    if (!with_keys_ && HoldsPrivateKey(path)) {
      ++summary_.private_keys_left_out;
      return absl::OkStatus();
    }
    return AddFile(name, path.string(), StatOf(path).st_mode & 0777);
  }

  static absl::Status CopyNote(Database& copy, Database& live, const std::string& sha256) {
    std::string run;
    int64_t time = 0;
    TRB_ASSIGN_OR_RETURN(const bool noted,
                         live.QueryOne("SELECT run_id, deleted_unix_ms FROM deleted_blobs WHERE sha256 = ?1", {sha256},
                                       [&](const Row& row) {
                                         run = row.Text(0);
                                         time = row.Int(1);
                                       }));
    if (!noted) return absl::DataLossError(absl::StrCat("blob ", sha256, " is missing; verify names its round"));
    return copy.Run("INSERT INTO deleted_blobs (sha256, run_id, deleted_unix_ms, file_removed) VALUES (?1, ?2, ?3, 1)",
                    {sha256, run, time});
  }

  const std::string directory_;
  const bool with_keys_;
  ArchiveWriter& archive_;
  BackupSummary summary_;
};

// One consistent state of the ledger in one file without a log beside it.
absl::StatusOr<std::unique_ptr<Database>> CopyLedger(Database& live, const std::string& to) {
  TRB_RETURN_IF_ERROR(WriteFileDurably(to, "", 0600));  // private before anything is in it; VACUUM INTO takes it empty
  TRB_RETURN_IF_ERROR(live.Run("VACUUM INTO ?1", {to}));
  return Database::Open(to);
}

absl::Status RequireEmpty(const std::string& directory) {
  std::error_code error;
  if (!FileExists(directory)) return absl::OkStatus();
  if (fs::is_directory(directory, error) && fs::is_empty(directory, error)) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(directory, ": is there and not empty"));
}

absl::StatusOr<BackupSummary> Extract(ArchiveReader& archive, const std::string& directory) {
  BackupSummary summary;
  for (;;) {
    TRB_ASSIGN_OR_RETURN(const ArchiveReader::Entry entry, archive.Next());
    if (entry.kind == 'e') return summary;
    const fs::path path = fs::path(directory) / entry.path;
    TRB_RETURN_IF_ERROR(MakeDirectories(path.parent_path().string(), 0700));
    if (entry.kind == 'l') {
      TRB_ASSIGN_OR_RETURN(const std::string target, archive.ReadText(entry));
      // One that led outside would let later entries be written there.
      if (!IsInnerPath(target))
        return absl::DataLossError(absl::StrCat(entry.path, ": the backup is damaged: a link leads elsewhere"));
      if (symlink(target.c_str(), path.c_str()) != 0)
        return ErrnoToStatus(errno, absl::StrCat("symlink ", path.string()));
      continue;
    }
    TRB_RETURN_IF_ERROR(archive.CopyTo(entry, path.string()));
    ++summary.files;
    summary.bytes += entry.size;
  }
}

// The next one would hold it, and the keys that it may hold with it.
absl::Status RequireOutside(const std::string& directory, const std::string& file) {
  std::error_code error;
  const fs::path inside = fs::weakly_canonical(fs::absolute(file).parent_path(), error)
                              .lexically_relative(fs::weakly_canonical(directory, error));
  if (error || inside.empty() || *inside.begin() == "..") return absl::OkStatus();
  return WithFix(absl::InvalidArgumentError(absl::StrCat(file, ": is within the directory that is backed up")),
                 absl::StrCat("write it somewhere else than ", directory));
}

}  // namespace

absl::StatusOr<BackupSummary> Backup(const std::string& directory, const std::string& file, bool with_keys) {
  TRB_RETURN_IF_ERROR(RequireOutside(directory, file));
  TRB_ASSIGN_OR_RETURN(const auto live, OpenLedgerReadOnly(directory));
  TRB_ASSIGN_OR_RETURN(const auto blobs, storage::BlobStore::Open(directory, /*read_only=*/true));
  TRB_ASSIGN_OR_RETURN(const auto archive, ArchiveWriter::Create(file));
  const TemporaryFile ledger_copy(absl::StrCat(file, ".ledger"));
  BackupWriter writer(directory, with_keys, archive.get());
  {
    TRB_ASSIGN_OR_RETURN(const auto copy, CopyLedger(*live, ledger_copy.path()));
    TRB_RETURN_IF_ERROR(writer.AddSettings());
    TRB_RETURN_IF_ERROR(writer.AddBlobs(*copy, *live, *blobs));
  }  // closed: everything is in the one file
  TRB_RETURN_IF_ERROR(writer.AddFile(kLedgerName, ledger_copy.path(), 0600));
  TRB_RETURN_IF_ERROR(archive->Finish());
  return writer.summary();
}

absl::StatusOr<BackupSummary> Restore(const std::string& file, const std::string& directory) {
  TRB_RETURN_IF_ERROR(RequireEmpty(directory));
  TRB_ASSIGN_OR_RETURN(const auto archive, ArchiveReader::Open(file));
  std::string target = fs::path(directory).lexically_normal().string();
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  const std::string temporary = absl::StrCat(target, ".restoring");
  std::error_code error;
  fs::remove_all(temporary, error);
  TRB_RETURN_IF_ERROR(MakeDirectories(temporary, 0700));
  // Synced once, with its file system: a sync of each of a hundred thousand small files takes minutes. Opened before
  // the first write, for syncfs tells of those that failed since.
  const Fd tree(open(temporary.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (tree.get() < 0) return ErrnoToStatus(errno, absl::StrCat("open ", temporary));
  absl::StatusOr<BackupSummary> summary = Extract(*archive, temporary);
  absl::Status status = summary.status();
  if (status.ok() && syncfs(tree.get()) != 0) status = ErrnoToStatus(errno, absl::StrCat("sync ", temporary));
  // An empty directory in its place is replaced; rename refuses any other.
  if (status.ok() && rename(temporary.c_str(), target.c_str()) != 0)
    status = ErrnoToStatus(errno, absl::StrCat("rename ", temporary, " to ", target));
  if (!status.ok()) {
    fs::remove_all(temporary, error);
    return status;
  }
  const std::string parent = fs::path(target).parent_path().string();
  TRB_RETURN_IF_ERROR(SyncDirectory(parent.empty() ? "." : parent));
  return summary;
}

absl::StatusOr<std::vector<std::string>> Upgrade(const std::string& directory, bool dry_run) {
  const std::string path = LedgerPath(directory);
  if (!FileExists(path)) return absl::NotFoundError(absl::StrCat(path, ": no such database"));
  TRB_ASSIGN_OR_RETURN(const auto lock, DirectoryLock::Acquire(directory));
  TRB_ASSIGN_OR_RETURN(const auto database, Database::Open(path, dry_run));
  TRB_ASSIGN_OR_RETURN(const auto pending, storage::PendingMigrations(*database, LedgerMigrations()));
  TRB_ASSIGN_OR_RETURN(const int version, storage::SchemaVersion(*database));
  if (!dry_run) TRB_RETURN_IF_ERROR(MigrateLedger(directory, *database));
  std::vector<std::string> steps;
  if (version > 0 && !pending.empty())
    steps.push_back(absl::StrCat("keep a copy of the ledger as it is: ", LedgerCopyPath(directory, version)));
  for (const storage::Migration& step : pending)
    steps.push_back(absl::StrCat(step.version, " ", std::string(step.name)));
  return steps;
}

}  // namespace tributary::ledger
