#include "client/session/data_stamp.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/crypto/digest.h"

namespace tributary::session {
namespace {

namespace fs = std::filesystem;

constexpr int kDeepest = 4;  // folders of classes, of splits; anything deeper is nobody's data

std::string Line(const fs::path& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) return absl::StrCat(path.native(), " absent\n");
  return absl::StrCat(path.native(), " ", s.st_dev, " ", s.st_ino, " ", s.st_size, " ", s.st_mtim.tv_sec, ".",
                      s.st_mtim.tv_nsec, " ", s.st_ctim.tv_sec, ".", s.st_ctim.tv_nsec, "\n");
}

// A folder is visited, not listed: its own times change with files that are none of ours.
std::vector<fs::path> FilesUnder(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  const auto options = fs::directory_options::follow_directory_symlink | fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator it(folder, options, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_directory(ignored)) files.push_back(it->path());
    if (it.depth() >= kDeepest) it.disable_recursion_pending();
  }
  return files;
}

std::vector<fs::path> LabelsBeside(const fs::path& file) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(file.parent_path(), error), end; !error && it != end; it.increment(error))
    if (it->path().filename().native().find("labels") != std::string::npos) files.push_back(it->path());
  return files;
}

}  // namespace

std::string DataStamp(const std::string& path) {
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  std::vector<fs::path> files = folder ? FilesUnder(path) : LabelsBeside(path);
  std::sort(files.begin(), files.end());
  crypto::Sha256Hasher hasher;
  if (!folder) hasher.Update(Line(path));
  for (const fs::path& file : files) hasher.Update(Line(file));
  return hasher.FinishHex();
}

}  // namespace tributary::session
