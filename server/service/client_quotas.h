// What one enrolled client may ask of the coordinator, in counts and bytes: the one place of these limits. A client
// over a limit is told RESOURCE_EXHAUSTED with when to come back; others do not feel it.
//
// Threads: every method is safe from any thread and never waits. Memory: one small entry a client that was ever seen by
// this process; ids come from certificates, never from a message. Ownership: `clock` is borrowed and outlives this; a
// Hold may outlive it.
#ifndef TRIBUTARY_SERVER_SERVICE_CLIENT_QUOTAS_H_
#define TRIBUTARY_SERVER_SERVICE_CLIENT_QUOTAS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/base/token_buckets.h"

namespace tributary::service {

class ClientQuotas {
 public:
  // Of one client; 0: no limit. DIR/coordinator.toml, [limits].
  struct Limits {
    int sessions_a_minute = 120;  // as many at once, too
    int calls_a_second = 50;      // four times as many at once
    int messages_a_second = 20;   // within a session, heartbeats too; ten times as many at once
    int uploads = 2;              // at once; UploadSlots counts them
    int downloads = 4;            // at once
    int transfer_factor = 8;      // of one task, each way: so many times its bytes, and always kFreeBytes
    uint64_t bytes_a_day = 0;     // both ways, all tasks
  };
  static constexpr uint64_t kFreeBytes = 16ull << 20;
  static constexpr absl::Duration kComeBack = absl::Seconds(1);  // the advice that goes with a refusal

  ClientQuotas(const Limits& limits, const Clock* clock);
  ~ClientQuotas();

  // From now on; what is under way goes on.
  void SetLimits(const Limits& limits) TRB_EXCLUDES(mu_);
  Limits limits() TRB_EXCLUDES(mu_);

  // Each RESOURCE_EXHAUSTED says "try again in N ms".
  absl::Status TakeSession(const std::string& client);
  absl::Status TakeCall(const std::string& client);
  absl::Status TakeMessage(const std::string& client);

  // A download counts until its Hold is gone.
  using Hold = std::shared_ptr<void>;
  absl::StatusOr<Hold> StartDownload(const std::string& client) TRB_EXCLUDES(mu_);

  enum class Way { kUp, kDown };
  // `bytes` of a task whose whole transfer has `whole` bytes came or went; over the limit they count as well. With 0
  // bytes it only asks whether there is room for more.
  absl::Status TakeBytes(const std::string& client, const std::string& task, Way way, uint64_t bytes, uint64_t whole)
      TRB_EXCLUDES(mu_);

  // True for the first refusal of a client in a minute: what is worth a row of the audit.
  bool WorthTelling(const std::string& client) { return told_.Take(client); }
  // Lets go of what is not needed any more; call it now and then.
  void Forget();

 private:
  struct Transfer {
    std::string task;
    uint64_t up = 0, down = 0;
  };
  struct Client {
    std::deque<Transfer> transfers;  // newest last
    double day_bytes = 0;            // of the last day; older ones fade out
    absl::Duration day_at;           // when it was true
  };
  struct Buckets;
  struct Downloads;

  std::shared_ptr<Buckets> buckets() TRB_EXCLUDES(mu_);
  absl::Status TakeDayLocked(Client* client, uint64_t bytes) TRB_REQUIRES(mu_);

  const Clock& clock_;
  TokenBuckets told_;                           // locks itself
  const std::shared_ptr<Downloads> downloads_;  // locks itself
  Mutex mu_;
  Limits limits_ TRB_GUARDED_BY(mu_);
  std::shared_ptr<Buckets> buckets_ TRB_GUARDED_BY(mu_);  // lock themselves
  std::map<std::string, Client> clients_ TRB_GUARDED_BY(mu_);
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_CLIENT_QUOTAS_H_
