// Runs and their rounds: what the gRPC service calls, one controller thread per active run behind it.
//
// Order: Create -> Resume (goes on with every active run of the store) -> calls from any thread -> Shutdown.
// Threads: every method is safe from any thread. Calls may wait for the store (fsync), never for training or the
// network. Ownership: the objects in Options are borrowed and must outlive the manager.
#ifndef TRIBUTARY_SERVER_ROUNDS_RUN_MANAGER_H_
#define TRIBUTARY_SERVER_ROUNDS_RUN_MANAGER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "server/rounds/dispatcher.h"
#include "server/rounds/store.h"
#include "tributary/v1/federation.pb.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::storage {
class BlobStore;  // common/storage/blob_store.h
}

namespace tributary::rounds {

class RunManager {
 public:
  struct Options {
    RunStore* store = nullptr;
    Dispatcher* dispatcher = nullptr;
    storage::BlobStore* blobs = nullptr;
    const Clock* clock = &Clock::System();
    std::string federation;  // id
    int threads = 1;         // for aggregation and evaluation
  };
  static absl::StatusOr<std::unique_ptr<RunManager>> Create(Options options);
  virtual ~RunManager() = default;

  // Goes on with every active run: the same round, the same invited list, the updates accepted so far.
  virtual absl::Status Resume() = 0;
  // Saves elapsed times and joins all threads. Runs stay as they are.
  virtual void Shutdown() = 0;

  // ---- operators
  // Checks the plan (all faults at once: INVALID_ARGUMENT), makes the initial model, creates the run. dry_run: checks
  // only.
  virtual absl::StatusOr<std::string> StartRun(const v1::StartRunRequest& request, const Actor& actor) = 0;
  virtual absl::Status StopRun(const std::string& run, const Actor& actor) = 0;
  // Calls `on_event` now and after every change, until it returns false or the run has ended (last call). The callback
  // runs on a controller's thread and must not block or call back. Returns a token for Unwatch.
  virtual absl::StatusOr<uint64_t> Watch(const std::string& run, std::function<bool(const v1::RunEvent&)> on_event) = 0;
  virtual void Unwatch(uint64_t token) = 0;

  // ---- sessions (the caller is authenticated; client_id is from its certificate)
  // A verdict for each task held; then tasks that the client should have are pushed through the dispatcher.
  virtual std::vector<v1::TaskVerdict> ClientOnline(const std::string& client_id, const v1::Hello& hello) = 0;
  virtual void ClientOffline(const std::string& client_id) = 0;
  virtual void ClientRevoked(const std::string& client_id, const std::string& reason) = 0;
  virtual void TaskAnswered(const std::string& client_id, const v1::TaskAnswer& answer) = 0;
  virtual void TaskProgressed(const std::string& client_id, const v1::TaskProgress& progress) = 0;

  // ---- transfers
  // What an upload or download for a task is checked against. NOT_FOUND when unknown; PERMISSION_DENIED when not this
  // client's.
  struct TaskTerms {
    std::string run_id, base_model_sha256, plan_sha256, encoding;
    uint64_t round = 0, parameters = 0, base_model_bytes = 0, max_examples = 0, max_weight = 0;
    bool open = false;                       // an update would still be taken now
    std::string closed_code, closed_reason;  // when not: for NotNeeded
  };
  virtual absl::StatusOr<TaskTerms> GetTask(const std::string& client_id, const std::string& task_id) = 0;
  // The content is checked, the blob stored. Wakes the controller when the round's target is reached.
  virtual absl::StatusOr<AcceptResult> Accept(const Acceptance& acceptance) = 0;
  // A definitive refusal of this client's update: its row becomes rejected, with "code: reason".
  virtual void Refuse(const std::string& client_id, const std::string& task_id, const v1::Rejected& why,
                      uint64_t bytes) = 0;
  virtual void CountBytesDown(const std::string& client_id, const std::string& task_id, uint64_t bytes) = 0;
};

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_RUN_MANAGER_H_
