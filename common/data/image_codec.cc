#include "common/data/image_codec.h"

#include "absl/strings/str_cat.h"

namespace tributary::data {

absl::Status CheckImageSize(size_t height, size_t width) {
  if (height == 0 || width == 0) return absl::InvalidArgumentError("an image without pixels");
  if (height <= kMaxImageSide && width <= kMaxImageSide && height * width <= kMaxImagePixels) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("an image of ", height, "x", width, " pixels; the limits are ",
                                                   kMaxImageSide, " a side and ", kMaxImagePixels, " in all"));
}

Image ToChannels(Image image, size_t channels) {
  if (channels == 0 || channels == image.channels) return image;
  const size_t count = image.height * image.width;
  Image out{image.height, image.width, channels, std::vector<uint8_t>(count * channels)};
  for (size_t i = 0; i < count; ++i) {
    if (channels == 1) {
      const uint8_t* rgb = &image.pixels[i * 3];
      out.pixels[i] = static_cast<uint8_t>((4899u * rgb[0] + 9617u * rgb[1] + 1868u * rgb[2] + 8192u) >> 14);
    } else {
      for (size_t c = 0; c < channels; ++c) out.pixels[i * channels + c] = image.pixels[i];
    }
  }
  return out;
}

absl::StatusOr<Image> DecodeImage(std::string_view bytes, size_t channels) {
  if (channels != 0 && channels != 1 && channels != 3)
    return absl::InvalidArgumentError(absl::StrCat("images have 1 or 3 channels, not ", channels));
  if (bytes.substr(0, 4) == "\x89PNG") return DecodePng(bytes, channels);
  if (bytes.substr(0, 3) == "\xFF\xD8\xFF") return DecodeJpeg(bytes, channels);
  return absl::InvalidArgumentError("neither PNG nor JPEG");
}

}  // namespace tributary::data
