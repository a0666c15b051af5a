#include "common/data/zip_archive.h"

#include <zlib.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"

namespace tributary::data {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kEntry = 0x02014b50, kEnd = 0x06054b50;
constexpr size_t kLocalBytes = 30, kEntryBytes = 46, kEndBytes = 22, kMaxComment = 65535;
constexpr uint64_t kMaxMembers = 10'000, kMaxRatio = 1100, kRatioSlack = 4096;

absl::Status Bad(uint64_t offset, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("zip: ", std::string(what), " at offset ", offset));
}

// The end record is the last thing but for a comment of up to 64 KiB.
absl::StatusOr<uint64_t> FindEnd(std::string_view bytes) {
  if (bytes.size() < kEndBytes) return Bad(bytes.size(), "no end record: the file is too short,");
  const size_t last = bytes.size() - kEndBytes, first = last > kMaxComment ? last - kMaxComment : 0;
  for (size_t at = last + 1; at > first; --at) {
    if (LoadLe32(bytes.data() + at - 1) == kEnd) return at - 1;
  }
  return Bad(bytes.size(), "no end record: not a zip file, or cut short,");
}

// raw deflate into exactly `size` bytes.
bool Inflate(std::string_view stored, std::string* out) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(stored.data()));
  stream.avail_in = static_cast<uInt>(stored.size());
  stream.next_out = reinterpret_cast<Bytef*>(out->data());
  stream.avail_out = static_cast<uInt>(out->size());
  const int result = inflate(&stream, Z_FINISH);
  const bool whole = result == Z_STREAM_END && stream.total_out == out->size();
  inflateEnd(&stream);
  return whole;
}

}  // namespace

absl::StatusOr<ZipArchive> ZipArchive::Open(std::string_view bytes) {
  TRB_ASSIGN_OR_RETURN(const uint64_t end, FindEnd(bytes));
  const char* p = bytes.data() + end;
  const uint64_t count = LoadLe16(p + 10), size = LoadLe32(p + 12), at = LoadLe32(p + 16);
  if (LoadLe16(p + 4) != 0 || LoadLe16(p + 6) != 0 || LoadLe16(p + 8) != count) return Bad(end, "a split archive");
  if (at == UINT32_MAX || count == UINT16_MAX || count > kMaxMembers) return Bad(end, "a zip64 archive");
  if (at > end || size > end - at) return Bad(end, "a directory outside the file");
  ZipArchive archive(bytes);
  TRB_RETURN_IF_ERROR(archive.ReadDirectory(at, size, count));
  return archive;
}

absl::Status ZipArchive::ReadDirectory(uint64_t at, uint64_t size, uint64_t count) {
  const uint64_t end = at + size;
  for (uint64_t i = 0; i < count; ++i) {
    if (end - at < kEntryBytes || LoadLe32(bytes_.data() + at) != kEntry) return Bad(at, "no directory entry");
    const char* p = bytes_.data() + at;
    const uint64_t name = LoadLe16(p + 28), extra = LoadLe16(p + 30), comment = LoadLe16(p + 32);
    if (end - at - kEntryBytes < name + extra + comment) return Bad(at, "a directory entry outside the directory");
    Member member;
    member.flags = LoadLe16(p + 8);
    member.method = LoadLe16(p + 10);
    member.crc = LoadLe32(p + 16);
    member.stored = LoadLe32(p + 20);
    member.size = LoadLe32(p + 24);
    member.header_at = LoadLe32(p + 42);
    if (member.stored == UINT32_MAX || member.size == UINT32_MAX) return Bad(at, "a member over 4 GiB");
    if (!members_.emplace(std::string(p + kEntryBytes, name), member).second)
      return Bad(at, "a name for the second time");
    at += kEntryBytes + name + extra + comment;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> ZipArchive::Stored(const Member& member) const {
  const uint64_t at = member.header_at;
  if (at > bytes_.size() || bytes_.size() - at < kLocalBytes || LoadLe32(bytes_.data() + at) != kLocal)
    return Bad(at, "no member header");
  const char* p = bytes_.data() + at;
  const uint64_t skip = kLocalBytes + LoadLe16(p + 26) + LoadLe16(p + 28);
  if (bytes_.size() - at < skip || bytes_.size() - at - skip < member.stored)
    return Bad(at, "a member that ends outside the file");
  return bytes_.substr(at + skip, member.stored);
}

absl::StatusOr<std::string> ZipArchive::Read(const std::string& name, uint64_t max_bytes) const {
  const auto it = members_.find(name);
  if (it == members_.end()) return absl::NotFoundError(absl::StrCat("zip: no member `", EscapeForLog(name), "`"));
  const Member& member = it->second;
  TRB_ASSIGN_OR_RETURN(const std::string_view stored, Stored(member));
  if ((member.flags & 1) != 0) return Bad(member.header_at, "an encrypted member");
  if (member.size > max_bytes)
    return absl::ResourceExhaustedError(absl::StrCat("zip: `", EscapeForLog(name), "` has ", member.size,
                                                     " bytes, more than the limit of ", max_bytes));
  std::string out;
  if (member.method == 0 && member.size == member.stored) {
    out.assign(stored);
  } else if (member.method == 8) {
    // Deflate cannot do better than about 1032 : 1; more is a lie, told to make us take memory.
    if (member.size > kRatioSlack && (member.size - kRatioSlack) / kMaxRatio > member.stored)
      return Bad(member.header_at, "an impossible size");
    out.resize(member.size);
    if (!Inflate(stored, &out)) return Bad(member.header_at, "damaged compressed data");
  } else {
    return Bad(member.header_at, "a compression other than stored or deflated");
  }
  if (crc32_z(0, reinterpret_cast<const Bytef*>(out.data()), out.size()) != member.crc)
    return Bad(member.header_at, "a wrong checksum");
  return out;
}

}  // namespace tributary::data
