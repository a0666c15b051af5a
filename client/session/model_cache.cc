#include "client/session/model_cache.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/fail_point.h"
#include "common/base/file_descriptor.h"
#include "common/base/files.h"
#include "common/crypto/digest.h"
#include "common/wire/check.h"

namespace tributary::session {
namespace {

namespace fs = std::filesystem;

uint64_t SizeOf(const std::string& path) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  return error ? 0 : static_cast<uint64_t>(size);
}

// DATA_LOSS, as for bytes out of order: what has come is not gone on with.
absl::Status CheckChunk(const v1::ModelChunk& chunk) {
  const absl::Status good = wire::Check(chunk);
  return good.ok() ? good : absl::DataLossError(absl::StrCat("a chunk of the base model: ", good.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelCache>> ModelCache::Open(const std::string& directory, Options options) {
  const std::string path = directory + "/cache";
  TRB_RETURN_IF_ERROR(MakeDirectories(path, 0700));
  return std::unique_ptr<ModelCache>(new ModelCache(path, options));
}

absl::StatusOr<std::string> ModelCache::ReadComplete(const v1::TrainTask& task) const {
  const std::string path = directory_ + "/" + task.base_model_sha256();
  TRB_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, task.base_model_bytes()));
  if (crypto::Sha256Hex(bytes) == task.base_model_sha256()) return bytes;
  TRB_RETURN_IF_ERROR(RemoveFile(path));
  return absl::DataLossError(absl::StrCat(path, ": the base model does not fit its digest"));
}

absl::Status ModelCache::Download(const v1::TrainTask& task, const std::string& partial, CoordinatorLink* link,
                                  std::stop_token stop) const {
  if (SizeOf(partial) > task.base_model_bytes()) TRB_RETURN_IF_ERROR(RemoveFile(partial));
  uint64_t have = SizeOf(partial);
  const Fd file(open(partial.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (file.get() < 0) return ErrnoToStatus(errno, absl::StrCat("open ", partial));
  if (have == task.base_model_bytes()) return absl::OkStatus();
  v1::DownloadModelRequest request;
  request.set_task_id(task.task_id());
  request.set_offset(have);
  const auto take = [&](const v1::ModelChunk& chunk) -> absl::Status {
    if (const absl::Status good = CheckChunk(chunk); !good.ok()) return good;
    // An empty chunk would let the stream go on for ever.
    if (chunk.offset() != have || chunk.data().empty() || chunk.data().size() > task.base_model_bytes() - have)
      return absl::DataLossError(absl::StrCat("the base model's bytes come out of order at ", have));
    TRB_FAIL_POINT("cache.write");
    TRB_RETURN_IF_ERROR(WriteAll(file.get(), chunk.data(), partial));
    have += chunk.data().size();
    return absl::OkStatus();
  };
  TRB_RETURN_IF_ERROR(link->DownloadModel(request, take, stop));
  if (have != task.base_model_bytes())
    return absl::UnavailableError(absl::StrCat("the base model ended after ", have, " bytes"));
  return absl::OkStatus();
}

absl::StatusOr<std::string> ModelCache::Fetch(const v1::TrainTask& task, CoordinatorLink* link, std::stop_token stop) {
  absl::StatusOr<std::string> cached = ReadComplete(task);
  if (cached.ok()) return cached;
  const std::string complete = directory_ + "/" + task.base_model_sha256(), partial = complete + ".part";
  const absl::Status downloaded = Download(task, partial, link, std::move(stop));
  if (absl::IsDataLoss(downloaded)) TRB_RETURN_IF_ERROR(RemoveFile(partial));
  TRB_RETURN_IF_ERROR(downloaded);
  TRB_FAIL_POINT("cache.rename");
  if (rename(partial.c_str(), complete.c_str()) != 0) return ErrnoToStatus(errno, absl::StrCat("rename ", partial));
  TRB_FAIL_POINT("cache.renamed");
  RemoveOldBut(complete);
  return ReadComplete(task);
}

// Best effort: a file that cannot be removed now is removed by a later call.
// `newest` stays whatever the clock says, and what was written in the future (the clock was set back) goes first.
void ModelCache::RemoveOldBut(const std::string& newest) const {
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  std::error_code error;
  const fs::file_time_type now = fs::last_write_time(newest, error);
  for (fs::directory_iterator it(directory_, error), end; !error && it != end; it.increment(error)) {
    if (it->path() == fs::path(newest)) continue;
    std::error_code ignored;
    const fs::file_time_type written = fs::last_write_time(it->path(), ignored);
    files.emplace_back(written > now ? fs::file_time_type::min() : written, it->path());
  }
  std::sort(files.rbegin(), files.rend());
  for (size_t i = options_.keep - 1; i < files.size(); ++i) fs::remove(files[i].second, error);
}

}  // namespace tributary::session
