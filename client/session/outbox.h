// Finished updates that have no receipt yet: rows in the ledger, bytes in DIR/outbox/TASK_ID. An update is in the
// outbox when its file and its row are both durable; it leaves only with the answer of the coordinator stored.
//
// Order of writing: file, then row. Order of leaving: row, then file. So after a crash at any instant there may be a
// file without a row (removed at Open), never a row without its file; should bytes be lost or damaged all the same, the
// task is queued again, and training gives the same update.
// Threads: every method is safe from any thread, but not two calls for one task at once.
#ifndef TRIBUTARY_CLIENT_SESSION_OUTBOX_H_
#define TRIBUTARY_CLIENT_SESSION_OUTBOX_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/session/client_ledger.h"
#include "common/base/status.h"

namespace tributary::session {

class Outbox {
 public:
  // Makes DIR/outbox, removes what belongs to no row, re-queues the tasks whose bytes are lost. `ledger` is borrowed.
  static absl::StatusOr<std::unique_ptr<Outbox>> Open(const std::string& directory, ClientLedger* ledger);

  // Durable when it returns OK; the task is then finished. `bytes` must be what entry.record says.
  absl::Status Put(const OutboxEntry& entry, std::string_view bytes);
  // DATA_LOSS when the bytes do not fit their digest, NOT_FOUND when they are gone.
  absl::StatusOr<std::string> ReadBytes(const OutboxEntry& entry) const;
  // The end of a task, with the coordinator's answer (ClientLedger::CloseTask); then the bytes are removed.
  absl::Status Close(const OutboxEntry& entry, TaskState end, const Refusal& why, std::string_view receipt,
                     int64_t now_unix_ms);
  // Lost bytes: the task is queued again.
  absl::Status Requeue(const OutboxEntry& entry);

 private:
  Outbox(std::string directory, ClientLedger* ledger) : directory_(std::move(directory)), ledger_(*ledger) {}
  std::string PathOf(const OutboxEntry& entry) const;
  absl::Status RemoveStrangers(const std::vector<OutboxEntry>& entries) const;
  absl::Status RemoveBytes(const OutboxEntry& entry) const;

  const std::string directory_;
  ClientLedger& ledger_;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_OUTBOX_H_
