// Brings finished updates to the coordinator, one at a time, and keeps the receipts. Whatever is about to leave is
// written to the ledger first. An update leaves the outbox only with a receipt that was checked, or with a definitive
// answer (not needed, refused).
// Threads: Run belongs to one thread; it returns after TaskBoard::Stop.
#ifndef TRIBUTARY_CLIENT_SESSION_UPLOADER_H_
#define TRIBUTARY_CLIENT_SESSION_UPLOADER_H_

#include <string>

#include "client/session/backoff.h"
#include "client/session/client_ledger.h"
#include "client/session/coordinator_link.h"
#include "client/session/outbox.h"
#include "client/session/task_board.h"
#include "client/session/trainer.h"
#include "common/base/clock.h"
#include "common/base/status.h"

namespace tributary::session {

class Uploader {
 public:
  // Borrowed; must outlive this.
  struct Parts {
    TaskBoard* board = nullptr;
    CoordinatorLink* link = nullptr;
    ClientLedger* ledger = nullptr;
    Outbox* outbox = nullptr;
    const Clock* clock = nullptr;
    SignerSource signer;
  };
  explicit Uploader(Parts parts) : parts_(std::move(parts)), backoff_({}, 1) {}

  void Run();

 private:
  // One attempt for one task.
  void Work(const TaskBoard::UploadJob& job);
  // OK: the task is over. UNAVAILABLE and the like: try again after `*after`.
  absl::Status Attempt(const TaskBoard::UploadJob& job, OutboxEntry* entry, absl::Duration* after);
  absl::Status SendBytes(const TaskBoard::UploadJob& job, const OutboxEntry& entry, const v1::UploadTicket& ticket);
  absl::Status SignAfresh(OutboxEntry* entry);
  absl::Status RecordSending(const TaskBoard::UploadJob& job, const OutboxEntry& entry, bool delta);
  absl::Status Receipted(const TaskBoard::UploadJob& job, const OutboxEntry& entry, const v1::Receipt& receipt);
  absl::Status Ended(const OutboxEntry& entry, TaskState end, const std::string& code, const std::string& reason);
  template <class Answer>
  absl::Status Resolve(const TaskBoard::UploadJob& job, const OutboxEntry& entry, const Answer& answer);

  const Parts parts_;
  Backoff backoff_;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_UPLOADER_H_
