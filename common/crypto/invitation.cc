#include "common/crypto/invitation.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/certificate.h"
#include "common/crypto/digest.h"

namespace tributary::crypto {
namespace {

constexpr std::string_view kPrefix = "trb1_";
constexpr size_t kSecretBytes = 32;
constexpr size_t kChecksumBytes = 4;
constexpr size_t kMaxTextBytes = 8192;
constexpr size_t kMaxEndpointBytes = 300;
constexpr size_t kMaxTokenIdBytes = 64;

void AppendField(std::string* out, std::string_view field) {
  AppendLe16(out, static_cast<uint16_t>(field.size()));
  out->append(field);
}

// Takes pieces off the front; once something is missing everything after it is.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}
  std::string_view Take(size_t count) {
    if (count > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const std::string_view piece = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return piece;
  }
  std::string_view TakeField() {
    const std::string_view length = Take(2);
    return failed_ ? std::string_view() : Take(LoadLe16(length.data()));
  }
  bool AtEnd() const { return !failed_ && rest_.empty(); }
  bool failed() const { return failed_; }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

bool IsEndpoint(std::string_view text) {
  return !text.empty() && text.size() <= kMaxEndpointBytes && text.find(':') != std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

bool IsTokenId(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTokenIdBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string Checksum(std::string_view payload) { return Sha256(payload).substr(0, kChecksumBytes); }

std::string_view WithoutSpaceAround(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

absl::Status Garbled(std::string_view why) {
  return absl::PermissionDeniedError(absl::StrCat("the invitation ", std::string(why),
                                                  ": carry it over again in full, or ask the operator for a new one"));
}

absl::StatusOr<Invitation> ParsePayload(std::string_view payload) {
  Cursor cursor(payload);
  const std::string_view role = cursor.Take(1);
  Invitation out;
  out.main_endpoint = cursor.TakeField();
  out.enrol_endpoint = cursor.TakeField();
  const std::string_view der = cursor.TakeField();
  out.token_id = cursor.TakeField();
  out.secret = cursor.Take(kSecretBytes);
  const std::string_view expires = cursor.Take(8);
  if (cursor.failed()) return Garbled("is cut off");
  const bool known_role = role[0] == 1 || role[0] == 2;
  const uint64_t expires_ms = LoadLe64(expires.data());
  if (!cursor.AtEnd() || !known_role || !IsEndpoint(out.main_endpoint) || !IsEndpoint(out.enrol_endpoint) ||
      !IsTokenId(out.token_id) || expires_ms > static_cast<uint64_t>(INT64_MAX))
    return Garbled("is garbled");
  const auto ca = Certificate::FromDer(der);
  if (!ca.ok()) return Garbled("is garbled");
  out.role = static_cast<InvitedRole>(role[0]);
  out.ca_certificate_pem = ca->pem();
  out.expires = absl::FromUnixMillis(static_cast<int64_t>(expires_ms));
  return out;
}

}  // namespace

absl::StatusOr<std::string> EncodeInvitation(const Invitation& invitation) {
  if (!IsEndpoint(invitation.main_endpoint) || !IsEndpoint(invitation.enrol_endpoint))
    return absl::InvalidArgumentError("an invitation needs two endpoints HOST:PORT");
  if (!IsTokenId(invitation.token_id) || invitation.secret.size() != kSecretBytes)
    return absl::InvalidArgumentError("an invitation needs a token id and a secret of 32 bytes");
  TRB_ASSIGN_OR_RETURN(const Certificate ca, Certificate::FromPem(invitation.ca_certificate_pem));
  std::string payload(1, static_cast<char>(invitation.role));
  AppendField(&payload, invitation.main_endpoint);
  AppendField(&payload, invitation.enrol_endpoint);
  AppendField(&payload, ca.ToDer());
  AppendField(&payload, invitation.token_id);
  payload += invitation.secret;
  AppendLe64(&payload, static_cast<uint64_t>(absl::ToUnixMillis(invitation.expires)));
  payload += Checksum(payload);
  return std::string(kPrefix) + Base64UrlEncode(payload);
}

absl::StatusOr<Invitation> ParseInvitation(std::string_view text) {
  text = WithoutSpaceAround(text);
  if (text.empty()) return Garbled("is empty");
  if (text.size() > kMaxTextBytes || !text.starts_with(kPrefix)) return Garbled("is not one (it begins with trb1_)");
  const std::optional<std::string> bytes = Base64UrlDecode(text.substr(kPrefix.size()));
  if (!bytes) return Garbled("is cut off or garbled");
  if (bytes->size() <= kChecksumBytes) return Garbled("is cut off");
  const std::string_view payload = std::string_view(*bytes).substr(0, bytes->size() - kChecksumBytes);
  if (Checksum(payload) != std::string_view(*bytes).substr(payload.size())) return Garbled("is cut off or garbled");
  return ParsePayload(payload);
}

}  // namespace tributary::crypto
