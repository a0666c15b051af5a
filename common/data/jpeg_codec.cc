// libjpeg reports errors through a function that must not return; ours jumps. Nothing with a destructor may live in a
// frame that it jumps over, so all state is in JpegRead, made outside of those frames.
#include <cstdio>  // before jpeglib.h, which needs FILE
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>

#include "absl/strings/str_cat.h"
#include "common/data/image_codec.h"

namespace tributary::data {
namespace {

struct JpegRead {
  jpeg_error_mgr errors;  // first: libjpeg hands a pointer to it back
  jmp_buf escape;
  char error[JMSG_LENGTH_MAX] = "damaged";
  bool too_large = false;
  bool cmyk = false;
  Image image;
};

[[noreturn]] void OnError(j_common_ptr common) {
  auto* read = reinterpret_cast<JpegRead*>(common->err);
  common->err->format_message(common, read->error);
  longjmp(read->escape, 1);
}

// Warnings that mean missing pixels are errors here: libjpeg would fill them with gray.
void OnMessage(j_common_ptr common, int level) {
  const int code = common->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) OnError(common);
}

// A progressive file of a few KiB may ask for thousands of passes over a large image.
void OnProgress(j_common_ptr common) {
  constexpr int kMaxScans = 200;
  if (reinterpret_cast<j_decompress_ptr>(common)->input_scan_number <= kMaxScans) return;
  common->err->msg_code = JERR_BAD_PROGRESSION;
  OnError(common);
}

void ChooseColours(jpeg_decompress_struct* jpeg, size_t channels, JpegRead* read) {
  read->cmyk = jpeg->num_components == 4;
  if (read->cmyk) {
    jpeg->out_color_space = JCS_CMYK;
  } else if (channels == 1 || (channels == 0 && jpeg->num_components == 1)) {
    jpeg->out_color_space = JCS_GRAYSCALE;  // the stored brightness, as OpenCV takes it
  } else {
    jpeg->out_color_space = JCS_RGB;
  }
  jpeg->dct_method = JDCT_ISLOW;
}

// Allocations with destructors happen here, where no longjmp passes.
void MakeRoom(const jpeg_decompress_struct& jpeg, JpegRead* read) {
  read->image.height = jpeg.output_height;
  read->image.width = jpeg.output_width;
  read->image.channels = static_cast<size_t>(jpeg.output_components);
  read->image.pixels.resize(read->image.height * read->image.width * read->image.channels);
}

bool ReadJpeg(jpeg_decompress_struct* jpeg, std::string_view bytes, size_t channels, JpegRead* read) {
  if (setjmp(read->escape) != 0) return false;
  jpeg_create_decompress(jpeg);
  jpeg_progress_mgr progress{};
  progress.progress_monitor = OnProgress;
  jpeg->progress = &progress;
  jpeg_mem_src(jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(jpeg, TRUE);
  read->too_large = jpeg->image_height > kMaxImageSide || jpeg->image_width > kMaxImageSide ||
                    size_t{jpeg->image_height} * jpeg->image_width > kMaxImagePixels;
  if (read->too_large) return false;
  ChooseColours(jpeg, channels, read);
  jpeg_start_decompress(jpeg);
  MakeRoom(*jpeg, read);
  const size_t row_bytes = read->image.width * read->image.channels;
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = read->image.pixels.data() + jpeg->output_scanline * row_bytes;
    jpeg_read_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_decompress(jpeg);
  return true;
}

// Adobe's CMYK is stored inverted: 255 is no ink.
Image FromCmyk(const Image& in) {
  Image out{in.height, in.width, 3, std::vector<uint8_t>(in.height * in.width * 3)};
  for (size_t i = 0; i < in.height * in.width; ++i) {
    for (size_t c = 0; c < 3; ++c)
      out.pixels[i * 3 + c] = static_cast<uint8_t>(in.pixels[i * 4 + c] * in.pixels[i * 4 + 3] / 255);
  }
  return out;
}

}  // namespace

absl::StatusOr<Image> DecodeJpeg(std::string_view bytes, size_t channels) {
  JpegRead read;
  jpeg_decompress_struct jpeg{};
  jpeg.err = jpeg_std_error(&read.errors);
  read.errors.error_exit = OnError;
  read.errors.emit_message = OnMessage;
  const bool ok = ReadJpeg(&jpeg, bytes, channels, &read);
  jpeg_destroy_decompress(&jpeg);
  if (read.too_large) return absl::ResourceExhaustedError("JPEG: too many pixels");
  if (!ok) return absl::InvalidArgumentError(absl::StrCat("JPEG: ", read.error));
  return ToChannels(read.cmyk ? FromCmyk(read.image) : std::move(read.image), channels);
}

}  // namespace tributary::data
