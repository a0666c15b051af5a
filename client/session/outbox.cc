#include "client/session/outbox.h"

#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/fail_point.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/crypto/digest.h"

namespace tributary::session {

absl::StatusOr<std::unique_ptr<Outbox>> Outbox::Open(const std::string& directory, ClientLedger* ledger) {
  const std::string path = directory + "/outbox";
  TRB_RETURN_IF_ERROR(MakeDirectories(path, 0700));
  std::unique_ptr<Outbox> outbox(new Outbox(path, ledger));
  TRB_ASSIGN_OR_RETURN(const std::vector<OutboxEntry> entries, ledger->ListOutbox());
  TRB_RETURN_IF_ERROR(outbox->RemoveStrangers(entries));
  for (const OutboxEntry& entry : entries) {
    const absl::StatusOr<std::string> bytes = outbox->ReadBytes(entry);
    if (bytes.ok()) continue;
    Log(LogLevel::kWarning, "outbox_bytes_lost", {{"task", entry.record.task_id()}, {"why", bytes.status().message()}});
    TRB_RETURN_IF_ERROR(outbox->Requeue(entry));
  }
  return outbox;
}

std::string Outbox::PathOf(const OutboxEntry& entry) const { return directory_ + "/" + entry.record.task_id(); }

absl::Status Outbox::RemoveStrangers(const std::vector<OutboxEntry>& entries) const {
  std::set<std::string> known;
  for (const OutboxEntry& entry : entries) known.insert(entry.record.task_id());
  std::error_code error;
  std::vector<std::string> strangers;
  for (std::filesystem::directory_iterator it(directory_, error), end; !error && it != end; it.increment(error))
    if (known.count(it->path().filename().string()) == 0) strangers.push_back(it->path().string());
  if (error) return ErrnoToStatus(error.value(), absl::StrCat("list ", directory_));
  for (const std::string& path : strangers) TRB_RETURN_IF_ERROR(RemoveFile(path));
  return absl::OkStatus();
}

absl::Status Outbox::Put(const OutboxEntry& entry, std::string_view bytes) {
  absl::Status put = WriteFileDurably(PathOf(entry), bytes, 0600);
  if (put.ok()) put = ledger_.AddOutbox(entry);
  // The next start would sweep the file away, but a daemon runs on. A write that failed may have got as far as the
  // name.
  if (!put.ok()) RemoveBytes(entry).IgnoreError();
  return put;
}

absl::StatusOr<std::string> Outbox::ReadBytes(const OutboxEntry& entry) const {
  const std::string path = PathOf(entry);
  TRB_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path));
  if (bytes.size() != entry.record.length() || crypto::Sha256Hex(bytes) != entry.record.update_sha256())
    return absl::DataLossError(absl::StrCat(path, ": the bytes do not fit their digest"));
  return bytes;
}

absl::Status Outbox::Close(const OutboxEntry& entry, TaskState end, const Refusal& why, std::string_view receipt,
                           int64_t now_unix_ms) {
  TRB_RETURN_IF_ERROR(ledger_.CloseTask(entry.record.task_id(), end, why, receipt, now_unix_ms));
  TRB_RETURN_IF_ERROR(RemoveBytes(entry));
  TRB_FAIL_POINT("outbox.cleared");
  return absl::OkStatus();
}

absl::Status Outbox::Requeue(const OutboxEntry& entry) {
  TRB_RETURN_IF_ERROR(ledger_.RequeueFinished(entry.record.task_id()));
  return RemoveBytes(entry);
}

absl::Status Outbox::RemoveBytes(const OutboxEntry& entry) const { return RemoveFile(PathOf(entry)); }

}  // namespace tributary::session
