// A coordinator's directory as one file, and back.
//
// The file (0600): "tributary-backup/v1\n", then entries, then a trailer.
//   entry   = kind (1 byte: 'f' file, 'l' symbolic link) path mode content
//             path: relative to the directory, length-prefixed; mode: 4 bytes; content: length-prefixed (a link's
//             target); lengths are 8 bytes, all numbers little-endian
//   trailer = 'e', then the SHA-256 (32 bytes) of everything before it, this byte included
// Private keys are left out unless asked for: without them whoever reads the file cannot act as the coordinator, and
// whoever restores it must put the keys back.
//
// Threads: safe from any thread; one call per directory at a time.
#ifndef TRIBUTARY_SERVER_LEDGER_BACKUP_H_
#define TRIBUTARY_SERVER_LEDGER_BACKUP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace tributary::ledger {

struct BackupSummary {
  uint64_t files = 0, bytes = 0;
  uint64_t private_keys_left_out = 0;
};

// Writes the directory to `file`; works beside a running coordinator (one consistent state of the ledger and all blobs
// that it needs). ALREADY_EXISTS when `file` is there: nothing is overwritten. After an error nothing is left behind.
absl::StatusOr<BackupSummary> Backup(const std::string& directory, const std::string& file, bool with_keys);

// Makes `directory` from the file. ALREADY_EXISTS when it is there and not empty; DATA_LOSS when the file is damaged or
// cut short; the directory is then as it was.
absl::StatusOr<BackupSummary> Restore(const std::string& file, const std::string& directory);

// Brings DIR/ledger.db to this program's schema, after a copy of it as it is has been kept (LedgerCopyPath). Returns
// the steps done (or, dry_run, that would be done), e.g. "2 history". UNAVAILABLE while a coordinator runs on it.
absl::StatusOr<std::vector<std::string>> Upgrade(const std::string& directory, bool dry_run);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_BACKUP_H_
