#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/data/npy.h"
#include "common/data/source.h"
#include "common/data/zip_archive.h"

namespace tributary::data {
namespace {

// x and y, or the pair of a split, as Keras' mnist.npz has them.
absl::StatusOr<std::string> FindPair(const ZipArchive& zip, Split split) {
  const std::array<const char*, 3> suffixes = {split == Split::kTest ? "_test" : "_train", "",
                                               split == Split::kTest ? "_train" : "_test"};
  for (const char* suffix : suffixes) {
    if (zip.Has(absl::StrCat("x", suffix, ".npy")) && zip.Has(absl::StrCat("y", suffix, ".npy"))) return suffix;
  }
  return absl::InvalidArgumentError("holds no arrays x and y (nor x_train and y_train)");
}

// (N, F) rows, (N, H, W) gray images, (N, H, W, C) images.
absl::Status SetShape(const NpyArray& x, Dataset* data) {
  const size_t rank = x.shape.size();
  if (rank < 2 || rank > 4)
    return absl::InvalidArgumentError(absl::StrCat("x has the shape (", absl::StrJoin(x.shape, ", "),
                                                   "), expected (N, F), (N, H, W) or (N, H, W, C)"));
  data->count = x.shape[0];
  data->height = rank == 2 ? 1 : x.shape[1];
  data->width = rank == 2 ? 1 : x.shape[2];
  data->channels = rank == 2 ? x.shape[1] : rank == 3 ? 1 : x.shape[3];
  if (data->example_size() == 0) return absl::InvalidArgumentError("x has a shape with a zero in it");
  return absl::OkStatus();
}

bool FitsFloat(double v) { return std::fabs(v) <= std::numeric_limits<float>::max(); }  // false for NaN

class Arrays {
 public:
  Arrays(const LoadOptions& options, std::string path) : options_(options), path_(std::move(path)) {}

  absl::StatusOr<RawData> Build(const NpyArray& x, const NpyArray& y) {
    Dataset& data = raw_.dataset;
    TRB_RETURN_IF_ERROR(SetShape(x, &data));
    const bool y_is_column = y.shape.size() == 1 || (y.shape.size() == 2 && y.shape[1] == 1);
    if (!y_is_column || y.count() != data.count)
      return absl::InvalidArgumentError(
          absl::StrCat("y has the shape (", absl::StrJoin(y.shape, ", "), "), but x has ", data.count, " examples"));
    TRB_RETURN_IF_ERROR(CheckMemory(path_, data.count, data.example_size() * sizeof(float), options_.max_bytes));
    raw_.report.found = data.count;
    if (x.kind == 'u' && x.item_bytes == 1) {
      data.pixels.assign(x.bytes.begin(), x.bytes.end());
    } else {
      data.features.resize(x.elements());
      for (size_t i = 0; i < data.features.size(); ++i) data.features[i] = static_cast<float>(x.At(i));
    }
    for (size_t i = 0; i < data.count; ++i) AddLabel(y.At(i));
    DropNotFinite(x, y);
    raw_.where = [path = path_, rows = std::move(rows_)](size_t i) { return absl::StrCat(path, "[", rows[i], "]"); };
    return std::move(raw_);
  }

 private:
  void AddLabel(double y) {
    if (options_.regression) {
      raw_.dataset.targets.push_back(FitsFloat(y) ? static_cast<float>(y) : 0.0f);
    } else {
      const bool is_label = y >= 0 && y <= INT32_MAX && y == std::floor(y);
      raw_.dataset.labels.push_back(is_label ? static_cast<int32_t>(y) : RawData::kNoLabel);
    }
  }

  // Rows with a NaN or an infinity count as undecodable.
  void DropNotFinite(const NpyArray& x, const NpyArray& y) {
    const size_t row = raw_.dataset.example_size();
    for (size_t i = 0; i < raw_.dataset.count; ++i) {
      bool good = !options_.regression || FitsFloat(y.At(i));
      for (size_t k = 0; good && x.is_float() && k < row; ++k) good = FitsFloat(x.At(i * row + k));
      if (good) {
        rows_.push_back(static_cast<uint32_t>(i));
      } else {
        raw_.report.undecodable.Add(absl::StrCat(path_, "[", i, "] (not a finite number)"));
      }
    }
    if (rows_.size() < raw_.dataset.count) raw_.dataset = raw_.dataset.Select(rows_);
  }

  const LoadOptions& options_;
  const std::string path_;
  RawData raw_;
  std::vector<uint32_t> rows_;
};

class NpzSource final : public Source {
 public:
  explicit NpzSource(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<RawData> Read(const LoadOptions& options) const override {
    TRB_ASSIGN_OR_RETURN(const std::string file, ReadFile(path_, options.max_bytes));
    absl::StatusOr<RawData> raw = ReadArrays(file, options);
    if (!raw.ok()) return Annotate(raw.status(), path_);
    return raw;
  }

 private:
  absl::StatusOr<RawData> ReadArrays(const std::string& file, const LoadOptions& options) const {
    TRB_ASSIGN_OR_RETURN(const ZipArchive zip, ZipArchive::Open(file));
    TRB_ASSIGN_OR_RETURN(const std::string suffix, FindPair(zip, options.split));
    TRB_ASSIGN_OR_RETURN(const std::string x_text, zip.Read(absl::StrCat("x", suffix, ".npy"), options.max_bytes));
    TRB_ASSIGN_OR_RETURN(const std::string y_text, zip.Read(absl::StrCat("y", suffix, ".npy"), options.max_bytes));
    const absl::StatusOr<NpyArray> x = ParseNpy(x_text), y = ParseNpy(y_text);
    if (!x.ok()) return Annotate(x.status(), "x");
    if (!y.ok()) return Annotate(y.status(), "y");
    return Arrays(options, path_).Build(*x, *y);
  }

  const std::string path_;
};

}  // namespace

std::unique_ptr<Source> MakeNpzSource(std::string path) { return std::make_unique<NpzSource>(std::move(path)); }

}  // namespace tributary::data
