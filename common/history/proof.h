// A run's history as a file that stands alone: the federation's CA certificate, every record of the chain with all that
// is signed in it, and the client certificates that the signatures are checked with. No model, no update's bytes, no
// key. docs/reference/proof.md repeats this layout.
//
//   file    = "tributary-proof/v1\n" entry* end
//   entry   = kind (1 byte) length (8 bytes) payload
//     'a'     the certificate of the CA that the run's genesis names, DER: one, first
//     'x'     another CA of the federation, and one's word for it: field(its certificate, DER) field(its name and key,
//             certified by the CA of 'a' or of an 'x' before, DER); after 'a', before the first record; may be absent
//     'c'     a client's certificate, DER: before the first record that needs it
//     'r'     a record: round (8 bytes) field(previous_record_sha256) field(body_sha256) field(record_sha256)
//             field(signature) field(body); field as in record_body.h; rounds 0, 1, 2, ...
//   end     = 'e' length (8 bytes: 32) SHA-256 of all bytes of the file before these 32
//   All numbers little-endian. Nothing follows the end.
//
// Threads: a writer or reader belongs to one.
#ifndef TRIBUTARY_COMMON_HISTORY_PROOF_H_
#define TRIBUTARY_COMMON_HISTORY_PROOF_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/crypto/digest.h"
#include "common/history/kin.h"
#include "common/history/record_body.h"

namespace tributary::history {

// Makes the bytes, one entry at a time: each method returns the next ones.
class ProofWriter {
 public:
  std::string Begin(const crypto::Certificate& authority);
  std::string AddAuthority(const AuthorityLink& link);
  std::string AddClient(const crypto::Certificate& certificate);
  std::string AddRecord(uint64_t round, const Record& record);
  std::string End();

 private:
  std::string Entry(char kind, std::string_view payload);
  crypto::Sha256Hasher hash_;
};

// Reads a file that anybody may have written. A length is compared with what the file still has before anything is
// allocated for it.
class ProofReader {
 public:
  // Files above these are refused unread: a certificate, and a record with all its clients (5,000 of them take 20 MB).
  static constexpr uint64_t kMaxCertificateBytes = 8192, kMaxRecordBytes = uint64_t{256} << 20;

  // NOT_FOUND; INVALID_ARGUMENT when it is no regular file; DATA_LOSS when it is no proof, or of a version that this
  // program does not know.
  static absl::StatusOr<std::unique_ptr<ProofReader>> Open(const std::string& path);
  ~ProofReader();
  ProofReader(const ProofReader&) = delete;
  ProofReader& operator=(const ProofReader&) = delete;

  struct Entry {
    char kind = 'e';  // as above; 'e': the file is whole and has ended
    std::string certificate_der;
    std::string cross_der;  // of 'x'
    uint64_t round = 0;
    Record record;
  };
  // DATA_LOSS: what is wrong with the file, in words that go after its name.
  absl::StatusOr<Entry> Next();
  uint64_t file_bytes() const { return size_; }

 private:
  ProofReader(int fd, uint64_t size) : fd_(fd), size_(size), left_(size) {}
  absl::StatusOr<std::string> Take(uint64_t size);
  absl::Status CheckEnd(const std::string& digest, const std::string& payload) const;

  const int fd_;
  const uint64_t size_;
  uint64_t left_;  // bytes of the file not read yet
  crypto::Sha256Hasher hash_;
};

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_PROOF_H_
