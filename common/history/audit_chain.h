// The chain of the audit: each entry carries the digest of the one before it, so that no entry can be changed, left out
// or put in without every later digest changing. docs/protocol.md repeats the layout.
//
//   entry_sha256 = SHA-256("tributary/audit/v1\0" previous_sha256 field(sequence) field(time_unix_ms) field(actor)
//                          field(certificate_sha256) field(action) field(subject) field(outcome))
//   field        = length (8 bytes), then that many bytes; integers as 8 bytes; all little-endian. previous_sha256 as
//   64
//                  hexadecimal characters, without a length; 64 zeros before the first entry
//
// Entries carry no signature of their own. Each closed round's record names the newest entry there was (audit_sha256),
// and records are signed: so all entries up to there are sealed with them.
// Threads: pure.
#ifndef TRIBUTARY_COMMON_HISTORY_AUDIT_CHAIN_H_
#define TRIBUTARY_COMMON_HISTORY_AUDIT_CHAIN_H_

#include <cstdint>
#include <string>

#include "tributary/v1/operator.pb.h"

namespace tributary::history {

// Of all fields but entry_sha256.
std::string AuditDigest(const v1::AuditEntry& entry);

// Takes the entries one after the other, the oldest first.
class AuditChainCheck {
 public:
  AuditChainCheck();
  // What does not fit; empty when the entry is the next one.
  std::string CheckNext(const v1::AuditEntry& entry);
  uint64_t sequence() const { return sequence_; }  // of the newest entry that fits; 0 before the first
  const std::string& head() const { return head_; }

 private:
  uint64_t sequence_ = 0;
  std::string head_;
};

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_AUDIT_CHAIN_H_
