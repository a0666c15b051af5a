// What every format has in common: a source reads what is stored, Clean() turns that into examples that can be used.
// Threads: a source is used by one thread.
#ifndef TRIBUTARY_COMMON_DATA_SOURCE_H_
#define TRIBUTARY_COMMON_DATA_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/data/dataset.h"
#include "common/data/load.h"

namespace tributary::data {

// As stored, before cleaning.
struct RawData {
  // A label that is no int32 from 0 up becomes this.
  static constexpr int32_t kNoLabel = -1;

  Dataset dataset;                 // `classes` and `num_classes` unset
  std::vector<std::string> names;  // when labels are names: distinct, labels are places in it
  // How a person finds example i: FILE, FILE:LINE or FILE[INDEX].
  std::function<std::string(size_t)> where;
  // Hash64 of each example as it is stored, when decoding changes it (files of images, resized): duplicates are then
  // the same whatever size is asked for. Empty: the examples themselves are compared.
  std::vector<uint64_t> stored;
  Report report;  // found, and what the source left out itself
};

class Source {
 public:
  virtual ~Source() = default;
  // Errors as LoadData has them.
  virtual absl::StatusOr<RawData> Read(const LoadOptions& options) const = 0;
};

// Never null. kGuess is not a format here.
std::unique_ptr<Source> MakeSource(Format format, std::string path);

// One per format, each in the file of its name.
std::unique_ptr<Source> MakeIdxSource(std::string path);
std::unique_ptr<Source> MakeImageFolderSource(std::string path);
std::unique_ptr<Source> MakeCsvSource(std::string path);
std::unique_ptr<Source> MakeNpzSource(std::string path);
std::unique_ptr<Source> MakeSyntheticSource(std::string spec);

// Maps labels, drops or refuses bad examples and duplicates as the options say, counts what is kept.
absl::StatusOr<LoadResult> Clean(RawData raw, const LoadOptions& options, const std::string& path);

// RESOURCE_EXHAUSTED when count * row_bytes is over max_bytes (or over what can be counted).
absl::Status CheckMemory(const std::string& path, uint64_t count, uint64_t row_bytes, uint64_t max_bytes);

// 64 bits of the bytes; not cryptographic. Seeds the order of folders and finds duplicates (which are then compared).
uint64_t Hash64(const void* bytes, size_t size, uint64_t start = 0);

}  // namespace tributary::data

#endif  // TRIBUTARY_COMMON_DATA_SOURCE_H_
