// MNIST's format: a big-endian magic number, big-endian sizes, then bytes. zlib reads plain and gzip files alike.
#include <sys/stat.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/files.h"
#include "common/data/source.h"

namespace tributary::data {
namespace {

constexpr uint32_t kLabelsMagic = 0x00000801, kGrayMagic = 0x00000803, kColourMagic = 0x00000804;
// Deflate cannot do better than about 1032 : 1, so a header that promises more is a lie.
constexpr uint64_t kMaxRatio = 1100, kRatioSlack = 4096;

// One file, plain or gzip, read from its start to its end.
class IdxFile {
 public:
  IdxFile() = default;
  ~IdxFile() {
    if (file_ != nullptr) gzclose(file_);
  }
  IdxFile(const IdxFile&) = delete;
  IdxFile& operator=(const IdxFile&) = delete;

  absl::Status Open(const std::string& path) {
    path_ = path;
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return ErrnoToStatus(errno, absl::StrCat("open ", path));
    if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, ": is not a regular file"));
    stored_bytes_ = static_cast<uint64_t>(info.st_size);
    file_ = gzopen(path.c_str(), "rbe");
    if (file_ == nullptr) return ErrnoToStatus(errno, absl::StrCat("open ", path));
    gzbuffer(file_, 1 << 17);
    return absl::OkStatus();
  }

  // Exactly `size` bytes, or an error that names the offset.
  absl::Status Read(void* out, uint64_t size) {
    auto* to = static_cast<uint8_t*>(out);
    for (uint64_t have = 0; have < size;) {
      const auto piece = static_cast<unsigned>(std::min<uint64_t>(size - have, 1u << 30));
      const int n = gzread(file_, to + have, piece);
      if (n < 0) return Broken();
      if (n == 0) return Short(size - have);
      have += static_cast<uint64_t>(n);
      offset_ += static_cast<uint64_t>(n);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<uint32_t> ReadBe32() {
    std::array<uint8_t, 4> b{};
    TRB_RETURN_IF_ERROR(Read(b.data(), b.size()));
    return (static_cast<uint32_t>(b[0]) << 24) | (static_cast<uint32_t>(b[1]) << 16) |
           (static_cast<uint32_t>(b[2]) << 8) | b[3];
  }

  // Before memory is taken: can `body` more bytes be there at all?
  absl::Status Expect(uint64_t body) const {
    const bool plain = gzdirect(file_) != 0;
    if (plain && stored_bytes_ < offset_ + body) return Short(offset_ + body - stored_bytes_);
    if (!plain && body > kRatioSlack && (body - kRatioSlack) / kMaxRatio > stored_bytes_)
      return absl::InvalidArgumentError(absl::StrCat(path_, ": its header promises ", body, " bytes, more than ",
                                                     stored_bytes_, " compressed bytes can hold"));
    return absl::OkStatus();
  }

  // Nothing may follow; for gzip this also checks the checksum.
  absl::Status ExpectEnd() {
    uint8_t extra = 0;
    const int n = gzread(file_, &extra, 1);
    int error = Z_OK;
    gzerror(file_, &error);
    if (n < 0 || (error != Z_OK && error != Z_STREAM_END)) return Broken();
    if (n > 0)
      return absl::InvalidArgumentError(
          absl::StrCat(path_, ": is longer than its header says; it should end at offset ", offset_));
    return absl::OkStatus();
  }

  const std::string& path() const { return path_; }

 private:
  absl::Status Short(uint64_t missing) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": too short: ends at offset ",
                                                   gzdirect(file_) != 0 ? stored_bytes_ : offset_, ", ", missing,
                                                   " bytes are missing"));
  }
  absl::Status Broken() const {
    int error = Z_OK;
    const char* what = gzerror(file_, &error);
    if (error == Z_ERRNO) return ErrnoToStatus(errno, absl::StrCat("read ", path_));
    return absl::InvalidArgumentError(absl::StrCat(path_, ": damaged gzip data near offset ", offset_, ": ", what));
  }

  std::string path_;
  gzFile file_ = nullptr;
  uint64_t stored_bytes_ = 0, offset_ = 0;
};

absl::Status BadMagic(const std::string& path, uint32_t found, uint32_t expected) {
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: bad magic 0x%08x at offset 0, expected 0x%08x", path, found, expected));
}

absl::Status ReadImages(const std::string& path, uint64_t max_bytes, Dataset* out) {
  IdxFile file;
  TRB_RETURN_IF_ERROR(file.Open(path));
  TRB_ASSIGN_OR_RETURN(const uint32_t magic, file.ReadBe32());
  if (magic != kGrayMagic && magic != kColourMagic) return BadMagic(path, magic, kGrayMagic);
  TRB_ASSIGN_OR_RETURN(const uint32_t count, file.ReadBe32());
  TRB_ASSIGN_OR_RETURN(const uint32_t height, file.ReadBe32());
  TRB_ASSIGN_OR_RETURN(const uint32_t width, file.ReadBe32());
  uint32_t channels = 1;
  if (magic == kColourMagic) {
    TRB_ASSIGN_OR_RETURN(channels, file.ReadBe32());
  }
  constexpr uint32_t kMaxSide = 1 << 14, kMaxChannels = 64;
  if (height == 0 || width == 0 || channels == 0 || height > kMaxSide || width > kMaxSide || channels > kMaxChannels)
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": images of ", height, "x", width, "x", channels, " at offset 8 cannot be"));
  const uint64_t size = uint64_t{height} * width * channels;
  TRB_RETURN_IF_ERROR(CheckMemory(path, count, size, max_bytes));
  TRB_RETURN_IF_ERROR(file.Expect(count * size));
  out->count = count;
  out->height = height;
  out->width = width;
  out->channels = channels;
  out->pixels.resize(count * size);
  TRB_RETURN_IF_ERROR(file.Read(out->pixels.data(), out->pixels.size()));
  return file.ExpectEnd();
}

absl::Status ReadLabels(const std::string& path, uint64_t max_bytes, Dataset* out) {
  IdxFile file;
  TRB_RETURN_IF_ERROR(file.Open(path));
  TRB_ASSIGN_OR_RETURN(const uint32_t magic, file.ReadBe32());
  if (magic != kLabelsMagic) return BadMagic(path, magic, kLabelsMagic);
  TRB_ASSIGN_OR_RETURN(const uint32_t count, file.ReadBe32());
  TRB_RETURN_IF_ERROR(CheckMemory(path, count, sizeof(int32_t), max_bytes));
  TRB_RETURN_IF_ERROR(file.Expect(count));
  std::vector<uint8_t> bytes(count);
  TRB_RETURN_IF_ERROR(file.Read(bytes.data(), bytes.size()));
  TRB_RETURN_IF_ERROR(file.ExpectEnd());
  out->labels.assign(bytes.begin(), bytes.end());
  return absl::OkStatus();
}

struct Pair {
  std::string images, labels;
};

// `path`, else `path`.gz, else without .gz; empty when there is none.
std::string PlainOrGzip(const std::string& path) {
  if (FileExists(path)) return path;
  if (FileExists(path + ".gz")) return path + ".gz";
  const bool gz = path.size() > 3 && path.compare(path.size() - 3, 3, ".gz") == 0;
  return gz && FileExists(path.substr(0, path.size() - 3)) ? path.substr(0, path.size() - 3) : "";
}

// train-images-idx3-ubyte.gz -> train-labels-idx1-ubyte.gz, whichever spelling is there; empty when none is.
std::string LabelsBeside(const std::string& images) {
  const std::filesystem::path whole(images);
  std::string name = whole.filename().string();
  const size_t at = name.rfind("images");
  if (at == name.npos) return "";
  name.replace(at, 6, "labels");
  for (const std::string_view from : {"idx3", "idx4"}) {
    if (const size_t idx = name.find(from); idx != name.npos) name.replace(idx, 4, "idx1");
  }
  return PlainOrGzip((whole.parent_path() / name).string());
}

std::string ImagesIn(const std::string& folder, Split split) {
  const std::array<const char*, 4> train = {"train-", "training-", "", "t10k-"};
  const std::array<const char*, 4> test = {"t10k-", "test-", "", "train-"};
  for (const char* prefix : split == Split::kTest ? test : train) {
    for (const char* name : {"images-idx3-ubyte", "images.idx3-ubyte", "images-idx4-ubyte", "images.idx4-ubyte"}) {
      const std::string found = PlainOrGzip(absl::StrCat(folder, "/", prefix, name));
      if (!found.empty()) return found;
    }
  }
  return "";
}

class IdxSource final : public Source {
 public:
  explicit IdxSource(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<RawData> Read(const LoadOptions& options) const override {
    TRB_ASSIGN_OR_RETURN(const Pair pair, Find(options.split));
    RawData raw;
    TRB_RETURN_IF_ERROR(ReadImages(pair.images, options.max_bytes, &raw.dataset));
    TRB_RETURN_IF_ERROR(ReadLabels(pair.labels, options.max_bytes, &raw.dataset));
    if (raw.dataset.labels.size() != raw.dataset.count)
      return absl::InvalidArgumentError(absl::StrCat(pair.labels, ": ", raw.dataset.labels.size(), " labels, but ",
                                                     pair.images, " has ", raw.dataset.count, " images"));
    if (options.regression) {
      raw.dataset.targets.assign(raw.dataset.labels.begin(), raw.dataset.labels.end());
      raw.dataset.labels.clear();
    }
    raw.report.found = raw.dataset.count;
    raw.where = [images = pair.images](size_t i) { return absl::StrCat(images, "[", i, "]"); };
    return raw;
  }

 private:
  absl::StatusOr<Pair> Find(Split split) const {
    std::error_code ignored;
    Pair pair;
    pair.images = std::filesystem::is_directory(path_, ignored) ? ImagesIn(path_, split) : path_;
    if (pair.images.empty())
      return absl::NotFoundError(
          absl::StrCat(path_, ": holds no IDX images (such as train-images-idx3-ubyte, plain or .gz)"));
    pair.labels = LabelsBeside(pair.images);
    if (pair.labels.empty())
      return absl::NotFoundError(
          absl::StrCat(pair.images, ": its labels are not beside it (such as train-labels-idx1-ubyte)"));
    return pair;
  }

  const std::string path_;
};

}  // namespace

std::unique_ptr<Source> MakeIdxSource(std::string path) { return std::make_unique<IdxSource>(std::move(path)); }

}  // namespace tributary::data
