#include "common/data/load.h"

#include <array>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/data/source.h"

namespace tributary::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::pair<Format, std::string_view>, 5> kFormats = {{{Format::kIdx, "idx"},
                                                                          {Format::kImages, "images"},
                                                                          {Format::kCsv, "csv"},
                                                                          {Format::kNpz, "npz"},
                                                                          {Format::kSynthetic, "synthetic"}}};

// By what the file is called; kGuess when it tells nothing.
Format GuessFromName(const fs::path& path) {
  const std::string name = absl::AsciiStrToLower(path.filename().string());
  if (absl::StrContains(name, "idx3") || absl::StrContains(name, "idx4")) return Format::kIdx;
  if (absl::EndsWith(name, ".csv") || absl::EndsWith(name, ".tsv")) return Format::kCsv;
  if (absl::EndsWith(name, ".npz")) return Format::kNpz;
  return Format::kGuess;
}

bool IsSyntheticSpec(const std::string& path) { return path == "synthetic" || absl::StartsWith(path, "synthetic:"); }

}  // namespace

absl::StatusOr<Format> GuessFormat(const std::string& path) {
  if (IsSyntheticSpec(path) && !FileExists(path)) return Format::kSynthetic;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return ErrnoToStatus(error ? error.value() : ENOENT, absl::StrCat("open ", path));
  if (fs::is_directory(status)) {
    fs::directory_iterator files(path, error);
    if (error) return ErrnoToStatus(error.value(), absl::StrCat("open ", path));
    for (; files != fs::directory_iterator(); files.increment(error)) {
      const Format format = GuessFromName(files->path());
      if (format != Format::kGuess) return format;
    }
    return Format::kImages;
  }
  const Format format = GuessFromName(path);
  if (format != Format::kGuess) return format;
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": its name does not tell its format; say --format idx, images, csv or npz"));
}

namespace {

// For formats of one file: FOLDER/train.csv or test.csv, or the only file of that ending.
absl::StatusOr<std::string> FileIn(const std::string& path, Split split, const std::string& ending) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return path;
  const std::array<const char*, 2> names = {split == Split::kTest ? "test" : "train",
                                            split == Split::kTest ? "train" : "test"};
  for (const char* name : names) {
    const std::string candidate = absl::StrCat(path, "/", name, ending);
    if (FileExists(candidate)) return candidate;
  }
  std::vector<std::string> found;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (absl::EndsWith(absl::AsciiStrToLower(it->path().filename().string()), ending))
      found.push_back(it->path().string());
  }
  if (found.size() == 1) return found[0];
  return absl::InvalidArgumentError(absl::StrCat(path, ": holds ", found.size(), " ", ending, " files and no train",
                                                 ending, "; name the file itself"));
}

}  // namespace

absl::StatusOr<Format> ParseFormat(std::string_view name) {
  if (name.empty()) return Format::kGuess;
  for (const auto& [format, known] : kFormats) {
    if (name == known) return format;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("format `", std::string(name), "`: expected idx, images, csv, npz or synthetic"));
}

std::string_view FormatName(Format format) {
  for (const auto& [known, name] : kFormats) {
    if (format == known) return name;
  }
  return "";
}

std::unique_ptr<Source> MakeSource(Format format, std::string path) {
  switch (format) {
    case Format::kImages:
      return MakeImageFolderSource(std::move(path));
    case Format::kCsv:
      return MakeCsvSource(std::move(path));
    case Format::kNpz:
      return MakeNpzSource(std::move(path));
    case Format::kSynthetic:
      return MakeSyntheticSource(std::move(path));
    case Format::kIdx:
    case Format::kGuess:
      break;
  }
  return MakeIdxSource(std::move(path));
}

absl::StatusOr<LoadResult> LoadData(const std::string& path, const LoadOptions& options) {
  Format format = options.format;
  if (format == Format::kGuess) {
    TRB_ASSIGN_OR_RETURN(format, GuessFormat(path));
  }
  std::string file = path;
  if (format == Format::kCsv || format == Format::kNpz) {
    TRB_ASSIGN_OR_RETURN(file, FileIn(path, options.split, format == Format::kCsv ? ".csv" : ".npz"));
    // Opening a pipe would wait for its writer, a device may have no end.
    std::error_code error;
    if (const fs::file_status status = fs::status(file, error); fs::exists(status) && !fs::is_regular_file(status))
      return absl::InvalidArgumentError(absl::StrCat(file, ": is not a regular file"));
  }
  try {
    TRB_ASSIGN_OR_RETURN(RawData raw, MakeSource(format, file)->Read(options));
    TRB_ASSIGN_OR_RETURN(LoadResult out, Clean(std::move(raw), options, file));
    out.format = format;
    return out;
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(file, ": does not fit into memory"));
  } catch (const std::exception& e) {  // file names that cannot be converted, and the like
    return absl::InternalError(absl::StrCat(file, ": ", e.what()));
  }
}

}  // namespace tributary::data
