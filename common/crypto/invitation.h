// The one thing that is carried by hand from the operator to a new peer. Whoever has it can join under its name, once,
// until it expires.
//
//   text    = "trb1_" base64url(payload), no padding
//   payload = role (1 byte: 1 client, 2 operator)
//             main endpoint | enrolment endpoint | CA certificate (DER) | token id    each: length (2 bytes), bytes
//             secret (32 bytes)
//             expiry (8 bytes, milliseconds since 1970)
//             checksum (first 4 bytes of the SHA-256 of everything before it)
//   All integers are little-endian. Endpoints are HOST:PORT ([HOST]:PORT for IPv6 addresses).
//
// The checksum finds a slip of the hand; it proves nothing. Golden text: tests/common/crypto/invitation_test.cc.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_CRYPTO_INVITATION_H_
#define TRIBUTARY_COMMON_CRYPTO_INVITATION_H_

#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "common/base/status.h"

namespace tributary::crypto {

enum class InvitedRole { kClient = 1, kOperator = 2 };

struct Invitation {
  InvitedRole role = InvitedRole::kClient;
  std::string main_endpoint;
  std::string enrol_endpoint;
  std::string ca_certificate_pem;
  std::string token_id;  // at most 64 characters of [0-9a-f]
  std::string secret;    // 32 bytes; only its SHA-256 is ever stored by the coordinator
  absl::Time expires;
};

// INVALID_ARGUMENT when a field cannot be encoded.
absl::StatusOr<std::string> EncodeInvitation(const Invitation& invitation);

// White space around the text is allowed. PERMISSION_DENIED (exit code 4) says whether it is no invitation at all, cut
// off, or garbled. Does not look at the clock.
absl::StatusOr<Invitation> ParseInvitation(std::string_view text);

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_INVITATION_H_
