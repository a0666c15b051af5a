// A backup: no entry leads out of the directory, and only a whole one reaches its end. Its digest is made right half
// the time, as an attacker would.
#include <filesystem>

#include "common/crypto/digest.h"
#include "server/ledger/backup_archive.h"
#include "tests/fuzz/fuzz.h"

// The first byte: whether the digest is added.
FUZZ_INPUT(input) {
  using namespace tributary;  // NOLINT
  if (input.empty()) return;
  std::string bytes(input.substr(1));
  if (input[0] & 1) bytes += crypto::Sha256(bytes);
  const std::string file = fuzz::Scratch().Write("backup", bytes);
  const auto reader = ledger::ArchiveReader::Open(file);
  if (!reader.ok()) return;
  const std::string copy = fuzz::Scratch().File("copy");
  for (;;) {
    const auto entry = (*reader)->Next();
    if (!entry.ok() || entry->kind == 'e') return;
    fuzz::Require(ledger::IsInnerPath(entry->path));
    const auto inside = std::filesystem::path("/root" + ("/" + entry->path)).lexically_normal();
    fuzz::Require(inside.string().starts_with("/root"));
    std::error_code error;
    std::filesystem::remove(copy, error);
    const absl::Status taken =
        entry->kind == 'l' ? (*reader)->ReadText(*entry).status() : (*reader)->CopyTo(*entry, copy);
    if (!taken.ok()) return;
  }
}
