// Invitations. What is read is what would be written: one spelling for each. The checksum is made right half the time,
// as an attacker would.
#include "common/base/bytes.h"
#include "common/crypto/digest.h"
#include "common/crypto/invitation.h"
#include "tests/fuzz/fuzz.h"

// The text itself; or, when it does not begin like one, the payload.
FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  std::string text(input);
  if (!input.starts_with("trb1_")) {
    const std::string payload(input);
    text = "trb1_" + Base64UrlEncode(payload + crypto::Sha256(payload).substr(0, 4));
  }
  const auto invitation = crypto::ParseInvitation(text);
  if (!invitation.ok()) return;
  const auto again = crypto::EncodeInvitation(*invitation);
  fuzz::Require(again.ok());
  const auto twice = crypto::ParseInvitation(*again);
  fuzz::Require(twice.ok() && twice->token_id == invitation->token_id && twice->secret == invitation->secret &&
                twice->main_endpoint == invitation->main_endpoint);
}
