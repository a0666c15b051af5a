// The hash chain of a run: what is in a record, and how its digest comes about. docs/protocol.md repeats this layout.
//
//   record_sha256 = SHA-256(preimage), preimage = "tributary/record/v1\0" previous_record_sha256 body_sha256
//                   (each digest as 64 hexadecimal characters; previous is 64 zeros for genesis)
//   signature     = ECDSA P-256 over SHA-256 of the preimage, DER, by the run's receipt key
//   body_sha256   = SHA-256(body)
//   body          = "tributary/body/v1\0" row*
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
// row in `updates`. Columns come as GenesisColumns() etc. list them: every column there is.
//
// Threads: pure functions, and functions of a Database.
#ifndef TRIBUTARY_SERVER_LEDGER_HISTORY_H_
#define TRIBUTARY_SERVER_LEDGER_HISTORY_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/storage/database.h"

namespace tributary::ledger {

// The previous record of a genesis record.
inline constexpr std::string_view kNoRecord = "0000000000000000000000000000000000000000000000000000000000000000";

std::span<const std::string_view> GenesisColumns();
std::span<const std::string_view> RoundColumns();
std::span<const std::string_view> ContributionColumns();
std::span<const std::string_view> UpdateColumns();

// What is signed; its SHA-256 is the record's digest.
std::string RecordPreimage(std::string_view previous_record_sha256, std::string_view body_sha256);

// The body of a record as the rows are now. Round 0 is genesis. NOT_FOUND.
absl::StatusOr<std::string> BuildBody(storage::Database& database, const std::string& run, uint64_t round);

// A body taken apart again: for showing where two differ.
struct BodyRow {
  std::string table;
  std::vector<std::pair<std::string, std::string>> columns;  // name, value as above
};
// DATA_LOSS when it does not follow the layout.
absl::StatusOr<std::vector<BodyRow>> ParseBody(std::string_view body);
// "rounds.train_loss" or "contributions.weight of client c-1"; empty when they are equal.
std::string DescribeDifference(std::string_view recorded, std::string_view actual);

struct Record {
  std::string previous_record_sha256, body_sha256, record_sha256, signature, body;
};
// NOT_FOUND.
absl::StatusOr<Record> ReadRecord(storage::Database& database, const std::string& run, uint64_t round);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_HISTORY_H_
