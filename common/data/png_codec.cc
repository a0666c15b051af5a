// libpng reports errors by longjmp. Nothing with a destructor may live in a frame that it jumps over, so all state is
// in PngRead, made outside of those frames.
#include <png.h>

#include <csetjmp>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/data/image_codec.h"

namespace tributary::data {
namespace {

struct PngRead {
  std::string_view bytes;
  size_t at = 0;
  size_t channels = 0;  // asked for
  char error[128] = "damaged";
  bool too_large = false;
  Image image;
  std::vector<png_bytep> rows;
};

void OnError(png_structp png, png_const_charp message) {
  auto* read = static_cast<PngRead*>(png_get_error_ptr(png));
  std::strncpy(read->error, message, sizeof read->error - 1);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

void OnRead(png_structp png, png_bytep out, size_t size) {
  auto* read = static_cast<PngRead*>(png_get_io_ptr(png));
  if (size > read->bytes.size() - read->at) png_error(png, "cut short");
  std::memcpy(out, read->bytes.data() + read->at, size);
  read->at += size;
}

// Everything becomes 8-bit gray or red-green-blue.
void AskForBytes(png_structp png, png_infop info) {
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
}

// Allocations with destructors happen here, where no longjmp passes.
bool MakeRoom(PngRead* read, size_t height, size_t width, size_t channels, size_t row_bytes) {
  if (row_bytes != width * channels || (channels != 1 && channels != 3)) return false;
  read->image = Image{height, width, channels, std::vector<uint8_t>(height * row_bytes)};
  read->rows.resize(height);
  for (size_t y = 0; y < height; ++y) read->rows[y] = read->image.pixels.data() + y * row_bytes;
  return true;
}

bool ReadPng(png_structp png, png_infop info, PngRead* read) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_user_limits(png, kMaxImageSide, kMaxImageSide);
  png_set_chunk_malloc_max(png, 8u << 20);
  png_set_read_fn(png, read, OnRead);
  png_read_info(png, info);
  const size_t height = png_get_image_height(png, info), width = png_get_image_width(png, info);
  read->too_large = height * width > kMaxImagePixels;
  if (read->too_large) return false;
  AskForBytes(png, info);
  if (!MakeRoom(read, height, width, png_get_channels(png, info), png_get_rowbytes(png, info))) return false;
  png_read_image(png, read->rows.data());
  png_read_end(png, nullptr);
  return true;
}

}  // namespace

absl::StatusOr<Image> DecodePng(std::string_view bytes, size_t channels) {
  PngRead read;
  read.bytes = bytes;
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &read, OnError, OnWarning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  const bool ok = info != nullptr && ReadPng(png, info, &read);
  png_destroy_read_struct(&png, &info, nullptr);
  if (read.too_large) return absl::ResourceExhaustedError("PNG: too many pixels");
  if (!ok) return absl::InvalidArgumentError(absl::StrCat("PNG: ", read.error, " (at offset ", read.at, ")"));
  return ToChannels(std::move(read.image), channels);
}

}  // namespace tributary::data
