// Decides on every task that the coordinator offers, and makes the decision durable before it is answered. Order of the
// checks: known already (and still the same), understood, history, owner's policy, memory, data.
// Threads: belongs to the session's thread.
#ifndef TRIBUTARY_CLIENT_SESSION_TASK_INTAKE_H_
#define TRIBUTARY_CLIENT_SESSION_TASK_INTAKE_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "client/policy/policy.h"
#include "client/session/client_ledger.h"
#include "client/session/data_holder.h"
#include "client/session/history_check.h"
#include "client/session/task_check.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::session {

class TaskIntake {
 public:
  // Borrowed; must outlive this.
  struct Parts {
    ClientLedger* ledger = nullptr;
    const DataHolder* data = nullptr;
    const policy::Policy* policy = nullptr;
    const crypto::Certificate* ca = nullptr;
    const Clock* clock = nullptr;
    int threads = 1;                                               // that train
    uint64_t memory_bytes = std::numeric_limits<uint64_t>::max();  // that this process may use
  };
  explicit TaskIntake(Parts parts) : parts_(parts) {}

  struct Decision {
    bool accepted = false;
    Refusal refusal;  // when not accepted
  };
  // Errors are of the disk: nothing was decided.
  absl::StatusOr<Decision> Decide(const v1::TrainTask& task);

 private:
  absl::StatusOr<Decision> RefuseHistory(const v1::TrainTask& task, const Refusal& why);
  absl::StatusOr<Refusal> CheckPast(const v1::TrainTask& task);
  absl::StatusOr<Refusal> CheckTerms(const v1::TrainTask& task, const ParsedTask& parsed);
  absl::StatusOr<Decision> DecideNew(const v1::TrainTask& task);

  const Parts parts_;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_TASK_INTAKE_H_
