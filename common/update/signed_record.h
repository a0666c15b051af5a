// The bytes that a client signs for an update and that the coordinator signs as its receipt. ECDSA P-256 over their
// SHA-256, DER, with the client's certificate key and with the coordinator's receipt key.
//
//   update  = "tributary/update/v1\0" field{13}
//   receipt = "tributary/receipt/v1\0" field{13} previous_record_sha256 accepted_unix_ms
//   field   = length (8 bytes little-endian), then that many bytes; strings as UTF-8, integers as 8 bytes little-endian
//
// The 13 fields, in this order (update.proto, UpdateRecord):
//   federation, run_id, round*, task_id, client_id, certificate_sha256, base_model_sha256, plan_sha256, update_sha256,
//   encoding, length*, examples*, metrics_sha256                                                       (* = integer)
// Digests are 64 lower-case hexadecimal characters, also inside these bytes. metrics_sha256 is of the serialised
// UpdateMetrics exactly as sent. Golden bytes: tests/common/update/signed_record_test.cc.
//
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_UPDATE_SIGNED_RECORD_H_
#define TRIBUTARY_COMMON_UPDATE_SIGNED_RECORD_H_

#include <string>

#include "common/base/status.h"

namespace tributary::v1 {
class Receipt;
class UpdateMetrics;
class UpdateRecord;
}  // namespace tributary::v1

namespace tributary::update {

std::string CanonicalBytes(const v1::UpdateRecord& record);
// Of receipt.record, previous_record_sha256 and accepted_unix_ms; receipt.signature is not part of it.
std::string CanonicalBytes(const v1::Receipt& receipt);

// Whether the record can be true of any update at all: digests spelled right, names present and at most 128 bytes of
// UTF-8 without control characters, round, length and examples not 0, encoding known. Errors: malformed, bad_encoding,
// bad_examples, wrong_shape (rejection.h). Whether it belongs to the caller's task is for the coordinator to say.
absl::Status CheckWellFormed(const v1::UpdateRecord& record);

// Reads and checks the metrics bytes: at most 4096, a message, losses and norm finite and not negative, accuracy within
// [0, 1], counts and times below 2^63, engine at most 64 printable characters. bad_metrics.
absl::StatusOr<v1::UpdateMetrics> ParseMetrics(const std::string& bytes);

}  // namespace tributary::update

#endif  // TRIBUTARY_COMMON_UPDATE_SIGNED_RECORD_H_
