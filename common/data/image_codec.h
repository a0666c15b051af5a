// PNG and JPEG bytes to pixels. The bytes may come from anyone: dimensions are bounded before memory is taken, and the
// libraries' errors come back as a status, never as an exit.
// Alpha is dropped and 16-bit samples keep their high byte, as OpenCV does; EXIF orientation is not applied.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_DATA_IMAGE_CODEC_H_
#define TRIBUTARY_COMMON_DATA_IMAGE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace tributary::data {

constexpr size_t kMaxImageSide = 1 << 14;
constexpr size_t kMaxImagePixels = size_t{1} << 26;

struct Image {
  size_t height = 0, width = 0, channels = 0;  // 1 gray, 3 red-green-blue
  std::vector<uint8_t> pixels;                 // channels-last, row by row
};

// `channels`: 1, 3, or 0 for the file's own. Told apart by their first bytes. INVALID_ARGUMENT: neither PNG nor JPEG,
// damaged or cut short. RESOURCE_EXHAUSTED: over kMaxImageSide or kMaxImagePixels.
absl::StatusOr<Image> DecodeImage(std::string_view bytes, size_t channels);

// The two that DecodeImage chooses from; `channels` as there.
absl::StatusOr<Image> DecodePng(std::string_view bytes, size_t channels);
absl::StatusOr<Image> DecodeJpeg(std::string_view bytes, size_t channels);

// RESOURCE_EXHAUSTED when it is over the limits above; INVALID_ARGUMENT when a side is 0.
absl::Status CheckImageSize(size_t height, size_t width);

// Gray as (4899 R + 9617 G + 1868 B + 8192) >> 14, OpenCV's fixed-point 0.299, 0.587, 0.114; colour from gray repeats
// it.
Image ToChannels(Image image, size_t channels);

}  // namespace tributary::data

#endif  // TRIBUTARY_COMMON_DATA_IMAGE_CODEC_H_
