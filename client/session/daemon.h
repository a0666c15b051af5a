// The whole client in one place: opens DIR, loads the data, and runs the session's, the trainer's and the uploader's
// threads until it is told to stop or may not go on.
//
//   DIR/lock, client.toml, policy.toml, client.db, outbox/, cache/, pki/
//
// Threads: Run belongs to one thread and may be called once.
#ifndef TRIBUTARY_CLIENT_SESSION_DAEMON_H_
#define TRIBUTARY_CLIENT_SESSION_DAEMON_H_

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "client/policy/policy.h"
#include "client/session/client_ledger.h"
#include "client/session/client_settings.h"
#include "client/session/coordinator_link.h"
#include "client/session/data_holder.h"
#include "client/session/model_cache.h"
#include "client/session/outbox.h"
#include "client/session/task_board.h"
#include "client/session/trainer.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/status.h"
#include "common/crypto/credential_cache.h"
#include "common/rpc/enrolment_client.h"

namespace tributary::session {

class Daemon {
 public:
  struct Options {
    std::string directory;
    const Clock* clock = &Clock::System();
    // A session is open (each time).
    std::function<void(const v1::Welcome& welcome, const rpc::LocalIdentity& identity)> on_open;
  };
  // Everything that can be found wrong before a connection is made: NOT_FOUND (not joined), PERMISSION_DENIED (keys
  // readable by others, certificate expired), FAILED_PRECONDITION (another process has DIR), INVALID_ARGUMENT
  // (client.toml, policy.toml), and those of the ledger. Data that cannot be read are no error: tasks are then
  // declined.
  static absl::StatusOr<std::unique_ptr<Daemon>> Create(Options options);

  // As SessionLoop::Run.
  absl::Status Run(std::stop_token stop);

 private:
  explicit Daemon(Options options);
  absl::Status OpenIdentity();
  absl::Status OpenStores();
  absl::StatusOr<v1::DatasetFacts> Facts();
  absl::StatusOr<Signer> CurrentSigner();
  std::string ClockFault();

  const Options options_;
  crypto::CredentialCache credentials_;
  std::unique_ptr<DirectoryLock> lock_;
  rpc::LocalIdentity identity_;
  std::unique_ptr<crypto::CurrentTrust> trust_;
  ClientSettings settings_;
  policy::Policy policy_;
  std::unique_ptr<ClientLedger> ledger_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<ModelCache> cache_;
  std::unique_ptr<DataHolder> data_;
  std::unique_ptr<TaskBoard> board_;
  std::unique_ptr<CoordinatorLink> link_;
};

}  // namespace tributary::session

#endif  // TRIBUTARY_CLIENT_SESSION_DAEMON_H_
