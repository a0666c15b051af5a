#include "common/history/proof.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"

namespace tributary::history {
namespace {

constexpr std::string_view kMagic = "tributary-proof/v1\n";
constexpr std::string_view kFamily = "tributary-proof/";
constexpr size_t kHeadBytes = 9, kDigestBytes = 32;

absl::Status Damaged(std::string_view what) { return absl::DataLossError(std::string(what)); }

// Takes fields off the front of a record's payload.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}

  bool Number(uint64_t* out) {
    if (rest_.size() < sizeof(uint64_t)) return false;
    *out = LoadLe64(rest_.data());
    rest_.remove_prefix(sizeof(uint64_t));
    return true;
  }
  bool Field(std::string* out) {
    uint64_t size = 0;
    if (!Number(&size) || size > rest_.size()) return false;
    out->assign(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return true;
  }
  bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

absl::Status ReadRecordPayload(std::string_view payload, ProofReader::Entry* out) {
  Fields fields(payload);
  Record& r = out->record;
  const bool whole = fields.Number(&out->round) && fields.Field(&r.previous_record_sha256) &&
                     fields.Field(&r.body_sha256) && fields.Field(&r.record_sha256) && fields.Field(&r.signature) &&
                     fields.Field(&r.body) && fields.done();
  return whole ? absl::OkStatus() : Damaged("a record does not follow the layout");
}

absl::Status ReadAuthorityPayload(std::string_view payload, ProofReader::Entry* out) {
  Fields fields(payload);
  const bool whole = fields.Field(&out->certificate_der) && fields.Field(&out->cross_der) && fields.done();
  return whole ? absl::OkStatus() : Damaged("an authority's entry does not follow the layout");
}

uint64_t MostBytes(char kind) {
  if (kind == 'a' || kind == 'c') return ProofReader::kMaxCertificateBytes;
  if (kind == 'x') return 2 * ProofReader::kMaxCertificateBytes + 16;
  if (kind == 'r') return ProofReader::kMaxRecordBytes;
  return kind == 'e' ? kDigestBytes : 0;
}

}  // namespace

std::string ProofWriter::Entry(char kind, std::string_view payload) {
  std::string out(1, kind);
  AppendLengthPrefixed(&out, payload);
  hash_.Update(out);
  return out;
}

std::string ProofWriter::Begin(const crypto::Certificate& authority) {
  hash_.Update(kMagic);
  return std::string(kMagic) + Entry('a', authority.ToDer());
}

std::string ProofWriter::AddAuthority(const AuthorityLink& link) {
  std::string payload;
  AppendLengthPrefixed(&payload, link.authority.ToDer());
  AppendLengthPrefixed(&payload, link.cross.ToDer());
  return Entry('x', payload);
}

std::string ProofWriter::AddClient(const crypto::Certificate& certificate) { return Entry('c', certificate.ToDer()); }

std::string ProofWriter::AddRecord(uint64_t round, const Record& record) {
  std::string payload;
  AppendLe64(&payload, round);
  for (const std::string* field :
       {&record.previous_record_sha256, &record.body_sha256, &record.record_sha256, &record.signature, &record.body})
    AppendLengthPrefixed(&payload, *field);
  return Entry('r', payload);
}

std::string ProofWriter::End() {
  std::string out(1, 'e');
  AppendLe64(&out, kDigestBytes);
  hash_.Update(out);
  return out + hash_.Finish();
}

absl::StatusOr<std::unique_ptr<ProofReader>> ProofReader::Open(const std::string& path) {
  // Without O_NONBLOCK a named pipe would wait for its writer before we can refuse it.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoToStatus(errno, absl::StrCat("open ", path));
  struct stat info {};
  const bool known = fstat(fd, &info) == 0;
  std::unique_ptr<ProofReader> reader(new ProofReader(fd, known ? static_cast<uint64_t>(info.st_size) : 0));
  if (!known || !S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, ": is no regular file"));
  const auto magic = reader->Take(std::min<uint64_t>(kMagic.size(), reader->size_));
  TRB_RETURN_IF_ERROR(magic.status());
  if (*magic == kMagic) return reader;
  if (magic->substr(0, kFamily.size()) == kFamily)
    return absl::DataLossError(absl::StrCat(path, ": a proof of a version that this program does not know"));
  return absl::DataLossError(absl::StrCat(path, ": is no proof that `tributary history export` wrote"));
}

ProofReader::~ProofReader() { close(fd_); }

absl::StatusOr<std::string> ProofReader::Take(uint64_t size) {
  if (size > left_) return Damaged("it is cut short");
  std::string bytes(size, '\0');
  for (size_t have = 0; have < bytes.size();) {
    const ssize_t n = read(fd_, bytes.data() + have, bytes.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoToStatus(errno, "read");
    if (n == 0) return Damaged("it became shorter while it was read");
    have += static_cast<size_t>(n);
  }
  left_ -= size;
  hash_.Update(bytes);
  return bytes;
}

absl::Status ProofReader::CheckEnd(const std::string& digest, const std::string& payload) const {
  if (payload != digest)
    return Damaged("its bytes are not those that were written: the digest at its end does not fit");
  return left_ == 0 ? absl::OkStatus() : Damaged("something follows its end");
}

absl::StatusOr<ProofReader::Entry> ProofReader::Next() {
  Entry entry;
  TRB_ASSIGN_OR_RETURN(const std::string head, Take(kHeadBytes));
  entry.kind = head[0];
  const uint64_t size = LoadLe64(head.data() + 1);
  if (MostBytes(entry.kind) == 0) return Damaged("an entry of a kind that is not known");
  if (size > MostBytes(entry.kind)) return Damaged("an entry is too long");
  const std::string before = crypto::Sha256Hasher(hash_).Finish();
  TRB_ASSIGN_OR_RETURN(std::string payload, Take(size));
  if (entry.kind == 'e') {
    TRB_RETURN_IF_ERROR(CheckEnd(before, payload));
  } else if (entry.kind == 'r') {
    TRB_RETURN_IF_ERROR(ReadRecordPayload(payload, &entry));
  } else if (entry.kind == 'x') {
    TRB_RETURN_IF_ERROR(ReadAuthorityPayload(payload, &entry));
  } else {
    entry.certificate_der = std::move(payload);
  }
  return entry;
}

}  // namespace tributary::history
