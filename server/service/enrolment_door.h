// The enrolment port: open while an invitation waits, always the same port. The port is ours, what comes in over it is
// read by a process of its own (enrolment_process.h).
// Threads: every method is safe from any thread; Update may wait for calls under way on the closing port.
#ifndef TRIBUTARY_SERVER_SERVICE_ENROLMENT_DOOR_H_
#define TRIBUTARY_SERVER_SERVICE_ENROLMENT_DOOR_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "common/base/mutex.h"
#include "server/identity/identity_service.h"
#include "server/service/enrolment_process.h"
#include "server/service/socket_listener.h"
#include "server/service/worker_pool.h"

namespace tributary::service {

class EnrolmentDoor {
 public:
  struct Options {
    std::function<absl::StatusOr<bool>()> wanted;     // whether an invitation waits; asked under the door's lock
    identity::IdentityService* identities = nullptr;  // borrowed, as the workers; both outlive it
    WorkerPool* workers = nullptr;
    std::string program;      // path of tributary-coordinator, which the process runs; empty: the port stays closed
    std::string credentials;  // directory of the port's
    const Clock* clock = &Clock::System();
  };
  explicit EnrolmentDoor(Options options) : options_(std::move(options)) {}
  ~EnrolmentDoor() { Close(); }

  // Chooses the port (port 0) or checks that it is free: ALREADY_EXISTS.
  absl::Status Claim(const identity::HostPort& address) TRB_EXCLUDES(mu_);
  // Opens or closes as `wanted` says.
  absl::Status Update() TRB_EXCLUDES(mu_);
  void Close() TRB_EXCLUDES(mu_);  // for good

  identity::HostPort address() const TRB_EXCLUDES(mu_);
  bool IsOpen() const TRB_EXCLUDES(mu_);

 private:
  // An open port. The process goes before the socket that it was given.
  struct Window {
    std::unique_ptr<SocketListener> listener;
    std::unique_ptr<EnrolmentProcess> process;
    ~Window();
  };
  absl::StatusOr<std::unique_ptr<Window>> Open(const identity::HostPort& address) const;
  void Serve(RelayedRequest request, EnrolmentProcess::Answer answer) const;

  const Options options_;
  mutable Mutex mu_;
  identity::HostPort address_ TRB_GUARDED_BY(mu_);
  std::unique_ptr<Window> window_ TRB_GUARDED_BY(mu_);
  bool closed_ TRB_GUARDED_BY(mu_) = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_ENROLMENT_DOOR_H_
