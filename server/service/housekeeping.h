// What a coordinator does by the clock: steps of the wall clock, silent sessions and uploads, expired certificates, the
// enrolment window (every tick); renewals, disk space, leftovers of closed rounds, rows left out (every minute).
// Threads: one thread of its own, from Start to Stop. What Options borrows outlives it.
#ifndef TRIBUTARY_SERVER_SERVICE_HOUSEKEEPING_H_
#define TRIBUTARY_SERVER_SERVICE_HOUSEKEEPING_H_

#include <atomic>
#include <set>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/rpc/clock_steps.h"
#include "server/identity/certificate_renewal.h"
#include "server/ledger/ledger_store.h"
#include "server/service/client_quotas.h"
#include "server/service/enrolment_door.h"
#include "server/service/live_calls.h"
#include "server/service/session_registry.h"
#include "server/service/upload_slots.h"
#include "server/service/upload_store.h"

namespace tributary::service {

class Housekeeping {
 public:
  struct Options {
    std::string directory;
    const Clock* clock = &Clock::System();
    absl::Duration tick = absl::Milliseconds(500);
    absl::Duration silence = absl::Seconds(15);  // ends a session
    identity::CertificateRenewal* renewal = nullptr;
    EnrolmentDoor* enrolment = nullptr;
    SessionRegistry* sessions = nullptr;
    ClientQuotas* quotas = nullptr;
    LiveCalls* live = nullptr;
    UploadSlots* slots = nullptr;
    UploadStore* uploads = nullptr;
    ledger::LedgerStore* store = nullptr;
  };
  explicit Housekeeping(Options options) : options_(std::move(options)), clock_steps_(options_.clock) {}
  ~Housekeeping() { Stop(); }

  void Start();
  void Stop() TRB_EXCLUDES(mu_);
  // Once, now, on the caller's thread.
  void TickOften();
  void TickSeldom();
  // Certificates that are due are renewed at the next tick.
  void RenewNow() { renew_now_ = true; }

 private:
  void Run() TRB_EXCLUDES(mu_);
  bool WaitForTick() TRB_EXCLUDES(mu_);
  absl::StatusOr<std::set<std::string>> OpenTasks() const;
  void WarnOfLowDisk();

  const Options options_;
  rpc::ClockSteps clock_steps_;  // the thread's
  std::thread thread_;
  std::atomic<bool> renew_now_{false};
  Mutex mu_;
  CondVar stop_;
  bool stopping_ TRB_GUARDED_BY(mu_) = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_HOUSEKEEPING_H_
