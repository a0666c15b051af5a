#include "common/data/npy.h"

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/bytes.h"

namespace tributary::data {
namespace {

constexpr uint64_t kMaxElements = uint64_t{1} << 40;

absl::Status Bad(size_t offset, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("npy: ", std::string(what), " at offset ", offset));
}

template <class T>
double As(const char* p) {
  T v;
  std::memcpy(&v, p, sizeof v);  // little-endian files on little-endian machines: x86-64 and arm64
  return static_cast<double>(v);
}

// What follows `'key':` in the header's dictionary, without leading blanks.
std::string_view After(std::string_view header, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string wanted = quote + std::string(key) + quote;
    const size_t at = header.find(wanted);
    if (at == header.npos) continue;
    std::string_view rest = header.substr(at + wanted.size());
    const auto skip = [&](char c) { rest.remove_prefix(std::min(rest.find_first_not_of(c), rest.size())); };
    skip(' ');
    if (rest.empty() || rest[0] != ':') return "";
    rest.remove_prefix(1);
    skip(' ');
    return rest;
  }
  return "";
}

absl::Status ParseType(std::string_view descr, size_t offset, NpyArray* out) {
  // '<f4' with its quotes.
  if (descr.size() < 5 || (descr[0] != '\'' && descr[0] != '"')) return Bad(offset, "no simple element type");
  const char order = descr[1];
  out->kind = descr[2];
  out->item_bytes = static_cast<size_t>(descr[3] - '0');
  const std::string type(descr.substr(1, 3));
  const bool known = type == "|b1" || type == "|u1" || type == "|i1" || type == "<u1" || type == "<i1" ||
                     ((out->kind == 'u' || out->kind == 'i') &&
                      (out->item_bytes == 2 || out->item_bytes == 4 || out->item_bytes == 8)) ||
                     (out->kind == 'f' && (out->item_bytes == 4 || out->item_bytes == 8));
  if (!known || descr[4] != descr[0] || order == '>')
    return Bad(offset, absl::StrCat("element type ", EscapeForLog(descr.substr(0, 8)),
                                    " (known are bool, integers, float32 and float64, little-endian)"));
  return absl::OkStatus();
}

absl::Status ParseShape(std::string_view text, size_t offset, NpyArray* out) {
  const size_t close = text.find(')');
  if (text.empty() || text[0] != '(' || close == text.npos) return Bad(offset, "no shape");
  uint64_t elements = 1, bound = 1;
  for (absl::string_view part : absl::StrSplit(absl::string_view(text.data() + 1, close - 1), ',')) {
    part = absl::StripAsciiWhitespace(part);
    if (part.empty()) continue;  // (5,) and ()
    uint64_t n = 0;
    if (part[0] < '0' || part[0] > '9' || !absl::SimpleAtoi(part, &n) || n > kMaxElements || out->shape.size() == 8)
      return Bad(offset, "an unusable shape");
    // Each side against what is left of the limit, zeros aside: no product of the sides, in whatever order, can wrap.
    if (n != 0 && bound > kMaxElements / n) return Bad(offset, "an array that cannot be so large");
    bound *= n == 0 ? 1 : n;
    out->shape.push_back(n);
    elements *= n;
  }
  if (out->bytes.size() != elements * out->item_bytes)
    return Bad(offset, absl::StrCat(out->bytes.size(), " bytes of elements, expected ", elements * out->item_bytes));
  return absl::OkStatus();
}

}  // namespace

double NpyArray::At(size_t i) const {
  const char* p = bytes.data() + i * item_bytes;
  switch (kind) {
    case 'f':
      return item_bytes == 4 ? As<float>(p) : As<double>(p);
    case 'i':
      return item_bytes == 1   ? As<int8_t>(p)
             : item_bytes == 2 ? As<int16_t>(p)
             : item_bytes == 4 ? As<int32_t>(p)
                               : As<int64_t>(p);
    default:
      return item_bytes == 1   ? As<uint8_t>(p)
             : item_bytes == 2 ? As<uint16_t>(p)
             : item_bytes == 4 ? As<uint32_t>(p)
                               : As<uint64_t>(p);
  }
}

absl::StatusOr<NpyArray> ParseNpy(std::string_view text) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  if (text.substr(0, kMagic.size()) != kMagic || text.size() < 12) return Bad(0, "no NumPy magic");
  const int version = text[6];
  if (version < 1 || version > 3) return Bad(6, "an unknown version");
  const size_t begin = version == 1 ? 10 : 12;
  const size_t length = version == 1 ? LoadLe16(text.data() + 8) : LoadLe32(text.data() + 8);
  if (length > text.size() - begin) return Bad(8, "a header longer than the file");
  const std::string_view header = text.substr(begin, length);
  NpyArray out;
  out.bytes = text.substr(begin + length);
  TRB_RETURN_IF_ERROR(ParseType(After(header, "descr"), begin, &out));
  TRB_RETURN_IF_ERROR(ParseShape(After(header, "shape"), begin, &out));
  if (After(header, "fortran_order").substr(0, 5) != "False" && out.shape.size() > 1)
    return Bad(begin, "Fortran order (save numpy.ascontiguousarray(x))");
  return out;
}

}  // namespace tributary::data
