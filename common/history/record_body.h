// The hash chain of a run: what is in a record, and how its digest comes about. docs/protocol.md repeats this layout.
//
//   record_sha256 = SHA-256(preimage), preimage = "tributary/record/v1\0" previous_record_sha256 body_sha256
//                   (each digest as 64 hexadecimal characters; previous is 64 zeros for genesis)
//   signature     = ECDSA P-256 over SHA-256 of the preimage, DER, by the run's receipt key
//   body_sha256   = SHA-256(body)
//   body          = "tributary/body/v1\0" row*  or  "tributary/body/v2\0" row*
//   row           = field(table) count field(name) field(value) ...    count: number of columns, 8 bytes
//   field         = length (8 bytes), then that many bytes; all numbers little-endian
//   value         = 'n'                       NULL
//                 | 'i' and 8 bytes           INTEGER, two's complement
//                 | 'r' and 8 bytes           REAL, IEEE 754 binary64
//                 | 't' and UTF-8             TEXT
//                 | 'b' and bytes             BLOB
//
// Rows of genesis (round 0): the constant columns of the run's row in `runs`. Rows of a closed round: its row in
// `rounds`; then for each invited client, by client id, its row in `contributions` and, if its update was accepted, its
// row in `updates`. Columns come as GenesisColumns() etc. list them: every column there is. Version 2 adds audit_sha256
// at the end of the row in `rounds`: the newest row of the audit when the round was closed. Genesis is always
// version 1.
//
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_HISTORY_RECORD_BODY_H_
#define TRIBUTARY_COMMON_HISTORY_RECORD_BODY_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace tributary::history {

// The previous record of a genesis record, and the previous entry of the first one of the audit.
inline constexpr std::string_view kNoRecord = "0000000000000000000000000000000000000000000000000000000000000000";

// The two versions of a body; the prefix says which one it is.
enum class BodyVersion { kV1, kV2 };
std::string_view BodyPrefix(BodyVersion version);

std::span<const std::string_view> GenesisColumns();
std::span<const std::string_view> RoundColumns(BodyVersion version);
std::span<const std::string_view> ContributionColumns();
std::span<const std::string_view> UpdateColumns();

// What is signed; its SHA-256 is the record's digest.
std::string RecordPreimage(std::string_view previous_record_sha256, std::string_view body_sha256);

// One record of the chain.
struct Record {
  std::string previous_record_sha256, body_sha256, record_sha256, signature, body;
};

// A body taken apart again.
struct BodyRow {
  std::string table;
  std::vector<std::pair<std::string, std::string>> columns;  // name, value as above
};
struct Body {
  BodyVersion version = BodyVersion::kV1;
  std::vector<BodyRow> rows;
};
// DATA_LOSS when it does not follow the layout. Nothing is allocated for what is not there.
absl::StatusOr<Body> ParseBody(std::string_view body);
// "rounds.train_loss" or "contributions.weight of client c-1"; empty when they are equal.
std::string DescribeDifference(std::string_view recorded, std::string_view actual);

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_RECORD_BODY_H_
