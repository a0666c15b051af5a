// Small files of every format that common/data reads, made in memory for its tests.
#ifndef TRIBUTARY_TESTS_COMMON_DATA_SAMPLE_FILES_H_
#define TRIBUTARY_TESTS_COMMON_DATA_SAMPLE_FILES_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/data/image_codec.h"

namespace tributary::data {

std::string Gzip(std::string_view bytes);

// Image i, pixel k has the byte i * 16 + k.
std::string IdxImages(uint32_t count, uint32_t height, uint32_t width);
std::string IdxLabels(const std::vector<int>& labels);

// `bit_depth` 8 or 16 (then every sample's low byte is 0x7f); channels 1 to 4: gray, gray+alpha, RGB, RGBA.
std::string Png(const Image& image, int bit_depth = 8);
// Quality 100; channels 1, 3 or 4 (CMYK).
std::string Jpeg(const Image& image);

// One version-1 .npy. `descr` such as "<f4"; `shape` as Python writes it, such as "(2, 3)".
std::string Npy(std::string_view descr, std::string_view shape, std::string_view elements, bool fortran = false);
template <class T>
std::string BytesOf(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T));
}
std::string Zip(const std::vector<std::pair<std::string, std::string>>& members, bool deflate);

}  // namespace tributary::data

#endif  // TRIBUTARY_TESTS_COMMON_DATA_SAMPLE_FILES_H_
