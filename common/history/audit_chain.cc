#include "common/history/audit_chain.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "common/history/record_body.h"

namespace tributary::history {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view kPrefix = "tributary/audit/v1\0"sv;

void AppendInteger(std::string* out, uint64_t value) {
  std::string bytes;
  AppendLe64(&bytes, value);
  AppendLengthPrefixed(out, bytes);
}

}  // namespace

std::string AuditDigest(const v1::AuditEntry& entry) {
  std::string bytes(kPrefix);
  bytes.append(entry.previous_sha256());
  AppendInteger(&bytes, entry.sequence());
  AppendInteger(&bytes, static_cast<uint64_t>(entry.time_unix_ms()));
  AppendLengthPrefixed(&bytes, entry.actor());
  AppendLengthPrefixed(&bytes, entry.certificate_sha256());
  AppendLengthPrefixed(&bytes, entry.action());
  AppendLengthPrefixed(&bytes, entry.subject());
  AppendLengthPrefixed(&bytes, entry.outcome());
  return crypto::Sha256Hex(bytes);
}

AuditChainCheck::AuditChainCheck() : head_(kNoRecord) {}

std::string AuditChainCheck::CheckNext(const v1::AuditEntry& entry) {
  if (entry.sequence() != sequence_ + 1)
    return absl::StrCat("row ", sequence_ + 1, " of the audit is gone: row ", entry.sequence(), " comes next");
  if (entry.previous_sha256() != head_) return "it does not follow the row before it";
  if (AuditDigest(entry) != entry.entry_sha256())
    return "it is not what it was when it was written: its digest is wrong";
  sequence_ = entry.sequence();
  head_ = entry.entry_sha256();
  return "";
}

}  // namespace tributary::history
