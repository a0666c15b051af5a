// The reasons that the wire has for refusing an update (federation.proto, Rejected.code), carried inside an
// absl::Status, so that a check says what it found once and the service, the ledger and the client all name it alike.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_UPDATE_REJECTION_H_
#define TRIBUTARY_COMMON_UPDATE_REJECTION_H_

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace tributary::update {

inline constexpr std::string_view kWrongShape = "wrong_shape";      // not the byte length that the model needs
inline constexpr std::string_view kNotFinite = "not_finite";        // a NaN or an infinity
inline constexpr std::string_view kTooLarge = "too_large";          // a value of 2^20 or more
inline constexpr std::string_view kBadEncoding = "bad_encoding";    // not an encoding of ours
inline constexpr std::string_view kMalformed = "malformed";         // a field is missing or not spelled as it must be
inline constexpr std::string_view kBadExamples = "bad_examples";    // none, or more than were declared
inline constexpr std::string_view kBadMetrics = "bad_metrics";      // not a metrics message, or impossible values
inline constexpr std::string_view kWrongDigest = "wrong_digest";    // bytes and digest do not belong together
inline constexpr std::string_view kBadSignature = "bad_signature";  // not signed by the key of the certificate
inline constexpr std::string_view kWrongBaseModel = "wrong_base_model";
inline constexpr std::string_view kWrongPlan = "wrong_plan";
inline constexpr std::string_view kDuplicate = "duplicate";
inline constexpr std::string_view kNotInvited = "not_invited";

// INVALID_ARGUMENT that carries `code`. The sender should never retry.
absl::Status Reject(std::string_view code, std::string_view reason);

// The code that Reject put in; empty for any other status.
std::string RejectionCode(const absl::Status& status);

}  // namespace tributary::update

#endif  // TRIBUTARY_COMMON_UPDATE_REJECTION_H_
