#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/random.h"
#include "common/data/image_codec.h"
#include "common/data/image_resize.h"
#include "common/data/source.h"

namespace tributary::data {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
constexpr size_t kMaxFiles = 20'000'000;

bool IsImageName(const std::string& name) {
  const std::string lower = absl::AsciiStrToLower(name);
  return name[0] != '.' &&
         (absl::EndsWith(lower, ".png") || absl::EndsWith(lower, ".jpg") || absl::EndsWith(lower, ".jpeg"));
}

// cat.12.png, cat_12.png, cat-12.png, cat12.png and cat.png are all of class cat.
std::string ClassFromFileName(const std::string& name) {
  std::string stem = name.substr(0, name.rfind('.'));
  if (const size_t dot = stem.find('.'); dot != stem.npos && dot > 0) return stem.substr(0, dot);
  const size_t last = stem.find_last_not_of("0123456789");
  if (last == stem.npos) return stem;
  const bool has_number = last + 1 < stem.size();
  const size_t end = has_number ? stem.find_last_not_of("_- ", last) : last;
  return end == stem.npos ? stem : stem.substr(0, end + 1);
}

struct Found {
  std::string path;        // relative to the folder, '/' between
  std::string class_name;  // the sub-folder's, or from the file name
};

absl::Status ListImages(const std::string& folder, const std::string& below, const std::string& class_name, int depth,
                        std::vector<Found>* out) {
  std::error_code error;
  fs::directory_iterator it(folder + "/" + below, error), end;
  for (; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    const std::string path = below.empty() ? name : below + "/" + name;
    std::error_code ignored;
    if (it->is_directory(ignored)) {
      // Deeper folders belong to the class above them; a link that leads upwards ends at this depth.
      if (depth < 8 && name[0] != '.')
        TRB_RETURN_IF_ERROR(ListImages(folder, path, class_name.empty() ? name : class_name, depth + 1, out));
    } else if (IsImageName(name) && !it->is_fifo(ignored)) {  // opening a pipe would wait for its writer
      if (out->size() == kMaxFiles) return absl::ResourceExhaustedError(absl::StrCat(folder, ": too many files"));
      out->push_back({path, class_name.empty() ? ClassFromFileName(name) : class_name});
    }
  }
  return error ? ErrnoToStatus(error.value(), absl::StrCat("read ", folder, "/", below)) : absl::OkStatus();
}

// FOLDER/train or FOLDER/test, where the folder holds such parts and nothing else: `train` beside `plane` is a class.
std::string SplitFolder(const std::string& folder, Split split) {
  bool train = false, test = false;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (name[0] == '.' || !it->is_directory(ignored)) continue;
    if (name != "train" && name != "test" && name != "validation" && name != "val") return folder;
    train |= name == "train";
    test |= name == "test";
  }
  if (!train && !test) return folder;
  const bool take_test = split == Split::kTest ? test : !train;
  return folder + (take_test ? "/test" : "/train");
}

// A permutation that depends on the names alone, so that every machine cuts the same validation part.
void PutInCanonicalOrder(std::vector<Found>* files) {
  std::sort(files->begin(), files->end(), [](const Found& a, const Found& b) { return a.path < b.path; });
  uint64_t seed = 0;
  for (const Found& file : *files) seed = Hash64(file.path.data(), file.path.size(), seed);
  Rng rng(seed);
  Shuffle(files, &rng);
}

// `stored`, when given, gets Hash64 of the file.
absl::StatusOr<Image> DecodeFile(const std::string& path, size_t height, size_t width, size_t channels,
                                 uint64_t* stored = nullptr) {
  TRB_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxFileBytes));
  if (stored != nullptr) *stored = Hash64(bytes.data(), bytes.size());
  TRB_ASSIGN_OR_RETURN(Image image, DecodeImage(bytes, channels));
  return Resize(std::move(image), height == 0 ? image.height : height, width == 0 ? image.width : width);
}

class Gatherer {
 public:
  Gatherer(std::string folder, const LoadOptions& options)
      : folder_(std::move(folder)),
        height_(options.height),
        width_(options.width),
        channels_(options.channels),
        max_bytes_(options.max_bytes) {}

  // The shape that was not asked for is that of the first file that decodes, by name.
  void SettleShape(const std::vector<Found>& sorted) {
    for (const Found& file : sorted) {
      if (height_ > 0 && width_ > 0 && channels_ > 0) return;
      const absl::StatusOr<Image> image = DecodeFile(Whole(file), height_, width_, channels_);
      if (!image.ok()) continue;
      height_ = image->height;
      width_ = image->width;
      channels_ = image->channels;
    }
  }

  absl::Status Reserve(size_t count) {
    TRB_RETURN_IF_ERROR(CheckMemory(folder_, count, height_ * width_ * channels_, max_bytes_));
    raw_.dataset.pixels.reserve(count * height_ * width_ * channels_);
    return absl::OkStatus();
  }

  void Add(const Found& file) {
    ++raw_.report.found;
    uint64_t stored = 0;
    const absl::StatusOr<Image> image = DecodeFile(Whole(file), height_, width_, channels_, &stored);
    if (!image.ok()) {
      const bool too_large = absl::IsResourceExhausted(image.status());
      Report::Kind& kind = too_large ? raw_.report.wrong_size : raw_.report.undecodable;
      kind.Add(absl::StrCat(Whole(file), " (", image.status().message(), ")"));
      return;
    }
    raw_.dataset.pixels.insert(raw_.dataset.pixels.end(), image->pixels.begin(), image->pixels.end());
    const auto at = std::lower_bound(raw_.names.begin(), raw_.names.end(), file.class_name);
    raw_.dataset.labels.push_back(static_cast<int32_t>(at - raw_.names.begin()));
    raw_.stored.push_back(stored);
    kept_.push_back(Whole(file));
  }

  void SetNames(const std::vector<Found>& files) {
    for (const Found& file : files) raw_.names.push_back(file.class_name);
    std::sort(raw_.names.begin(), raw_.names.end());
    raw_.names.erase(std::unique(raw_.names.begin(), raw_.names.end()), raw_.names.end());
  }

  RawData Finish() {
    raw_.dataset.count = kept_.size();
    raw_.dataset.height = std::max<size_t>(height_, 1);
    raw_.dataset.width = std::max<size_t>(width_, 1);
    raw_.dataset.channels = std::max<size_t>(channels_, 1);
    raw_.where = [kept = std::move(kept_)](size_t i) { return kept[i]; };
    return std::move(raw_);
  }

 private:
  std::string Whole(const Found& file) const { return folder_ + "/" + file.path; }

  const std::string folder_;
  size_t height_, width_, channels_;
  const uint64_t max_bytes_;
  RawData raw_;
  std::vector<std::string> kept_;
};

absl::Status CheckAskedShape(const LoadOptions& options) {
  if (options.height > kMaxImageSide || options.width > kMaxImageSide ||
      (options.channels != 0 && options.channels != 1 && options.channels != 3))
    return absl::InvalidArgumentError(absl::StrCat("images cannot be had as ", options.height, "x", options.width, "x",
                                                   options.channels, "; channels are 1 or 3"));
  return absl::OkStatus();
}

class ImageFolderSource final : public Source {
 public:
  explicit ImageFolderSource(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<RawData> Read(const LoadOptions& options) const override {
    TRB_RETURN_IF_ERROR(CheckAskedShape(options));
    if (options.regression)
      return absl::InvalidArgumentError(absl::StrCat(path_, ": folders give classes, no targets"));
    const std::string folder = SplitFolder(path_, options.split);
    std::vector<Found> files;
    TRB_RETURN_IF_ERROR(ListImages(folder, "", "", 0, &files));
    if (files.empty()) return absl::InvalidArgumentError(absl::StrCat(folder, ": holds no .png, .jpg or .jpeg files"));
    PutInCanonicalOrder(&files);
    std::vector<Found> sorted = files;
    std::sort(sorted.begin(), sorted.end(), [](const Found& a, const Found& b) { return a.path < b.path; });
    Gatherer gatherer(folder, options);
    gatherer.SetNames(sorted);
    gatherer.SettleShape(sorted);
    TRB_RETURN_IF_ERROR(gatherer.Reserve(files.size()));
    for (const Found& file : files) gatherer.Add(file);
    return gatherer.Finish();
  }

 private:
  const std::string path_;
};

}  // namespace

std::unique_ptr<Source> MakeImageFolderSource(std::string path) {
  return std::make_unique<ImageFolderSource>(std::move(path));
}

absl::StatusOr<Dataset> DecodeImageFile(const std::string& path, size_t height, size_t width, size_t channels) {
  absl::StatusOr<Image> image = DecodeFile(path, height, width, channels);
  if (!image.ok()) return Annotate(image.status(), path);
  Dataset out;
  out.count = 1;
  out.height = image->height;
  out.width = image->width;
  out.channels = image->channels;
  out.pixels = std::move(image->pixels);
  out.labels = {0};
  return out;
}

}  // namespace tributary::data
