#include "tests/common/data/sample_files.h"

#include <png.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
// After <cstdio>, which it needs.
#include <jpeglib.h>

#include "common/base/bytes.h"
#include "common/base/status.h"

namespace tributary::data {
namespace {

// `window` as zlib takes it: 15 + 16 gzip, -15 raw deflate.
std::string Deflate(std::string_view bytes, int window) {
  z_stream stream{};
  TRB_CHECK(deflateInit2(&stream, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  TRB_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

void AppendBe32(std::string* out, uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(v >> shift));
}

void AppendToString(png_structp png, png_bytep bytes, size_t size) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(bytes), size);
}

}  // namespace

std::string Gzip(std::string_view bytes) { return Deflate(bytes, 15 + 16); }

std::string IdxImages(uint32_t count, uint32_t height, uint32_t width) {
  std::string out;
  for (const uint32_t v : {uint32_t{0x803}, count, height, width}) AppendBe32(&out, v);
  for (uint32_t i = 0; i < count; ++i) {
    for (uint32_t k = 0; k < height * width; ++k) out.push_back(static_cast<char>(i * 16 + k));
  }
  return out;
}

std::string IdxLabels(const std::vector<int>& labels) {
  std::string out;
  AppendBe32(&out, 0x801);
  AppendBe32(&out, static_cast<uint32_t>(labels.size()));
  for (const int label : labels) out.push_back(static_cast<char>(label));
  return out;
}

std::string Png(const Image& image, int bit_depth) {
  constexpr int kTypes[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGBA};
  std::string out, row;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &out, AppendToString, nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height), bit_depth,
               kTypes[image.channels], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  const size_t samples = image.width * image.channels;
  for (size_t y = 0; y < image.height; ++y) {
    row.clear();
    for (size_t k = 0; k < samples; ++k) {
      row.push_back(static_cast<char>(image.pixels[y * samples + k]));
      if (bit_depth == 16) row.push_back('\x7f');
    }
    png_write_row(png, reinterpret_cast<png_const_bytep>(row.data()));
  }
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return out;
}

std::string Jpeg(const Image& image) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT: libjpeg's type
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = static_cast<int>(image.channels);
  jpeg.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : image.channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 100, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  for (size_t y = 0; y < image.height; ++y) {
    JSAMPROW row = const_cast<JSAMPROW>(image.pixels.data() + y * image.width * image.channels);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::string out(reinterpret_cast<char*>(bytes), size);
  jpeg_destroy_compress(&jpeg);
  std::free(bytes);
  return out;
}

std::string Npy(std::string_view descr, std::string_view shape, std::string_view elements, bool fortran) {
  std::string header = "{'descr': '" + std::string(descr) + "', 'fortran_order': " + (fortran ? "True" : "False") +
                       ", 'shape': " + std::string(shape) + ", }";
  while ((10 + header.size() + 1) % 64 != 0) header.push_back(' ');
  header.push_back('\n');
  std::string out("\x93NUMPY\x01\x00", 8);
  AppendLe16(&out, static_cast<uint16_t>(header.size()));
  return out + header + std::string(elements);
}

std::string Zip(const std::vector<std::pair<std::string, std::string>>& members, bool deflate) {
  std::string out, directory;
  for (const auto& [name, contents] : members) {
    const std::string stored = deflate ? Deflate(contents, -15) : contents;
    std::string common;  // what both headers say: version to crc, sizes and lengths
    AppendLe16(&common, 20);
    AppendLe16(&common, 0);
    AppendLe16(&common, deflate ? 8 : 0);
    AppendLe32(&common, 0);
    AppendLe32(&common, static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(contents.data()),
                                                    static_cast<uInt>(contents.size()))));
    AppendLe32(&common, static_cast<uint32_t>(stored.size()));
    AppendLe32(&common, static_cast<uint32_t>(contents.size()));
    AppendLe16(&common, static_cast<uint16_t>(name.size()));
    AppendLe16(&common, 0);
    const auto at = static_cast<uint32_t>(out.size());
    out += "PK\x03\x04" + common + name + stored;
    directory += std::string("PK\x01\x02\x14\x00", 6) + common + std::string(10, '\0');
    AppendLe32(&directory, at);
    directory += name;
  }
  const auto directory_at = static_cast<uint32_t>(out.size());
  out += directory + std::string("PK\x05\x06\0\0\0\0", 8);
  AppendLe16(&out, static_cast<uint16_t>(members.size()));
  AppendLe16(&out, static_cast<uint16_t>(members.size()));
  AppendLe32(&out, static_cast<uint32_t>(directory.size()));
  AppendLe32(&out, directory_at);
  AppendLe16(&out, 0);
  return out;
}

}  // namespace tributary::data
