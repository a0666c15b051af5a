// The enrolment port: open while an invitation waits, always the same port.
// Threads: every method is safe from any thread; Update may wait for calls under way on the closing port.
#ifndef TRIBUTARY_SERVER_SERVICE_ENROLMENT_DOOR_H_
#define TRIBUTARY_SERVER_SERVICE_ENROLMENT_DOOR_H_

#include <memory>
#include <string>

#include "common/base/mutex.h"
#include "server/identity/identity_service.h"
#include "server/service/door.h"
#include "server/service/enrolment_service.h"

namespace tributary::service {

class EnrolmentDoor {
 public:
  // `identities` and `service` are borrowed and outlive it.
  EnrolmentDoor(identity::IdentityService* identities, EnrolmentService* service,
                crypto::CredentialDirectory credentials)
      : identities_(*identities), service_(*service), credentials_(std::move(credentials)) {}

  // Chooses the port (port 0) or checks that it is free: ALREADY_EXISTS.
  absl::Status Claim(const identity::HostPort& address) TRB_EXCLUDES(mu_);
  // Opens or closes as the identities say.
  absl::Status Update() TRB_EXCLUDES(mu_);
  void Close() TRB_EXCLUDES(mu_);  // for good

  identity::HostPort address() const TRB_EXCLUDES(mu_);
  bool IsOpen() const TRB_EXCLUDES(mu_);

 private:
  identity::IdentityService& identities_;
  EnrolmentService& service_;
  const crypto::CredentialDirectory credentials_;
  mutable Mutex mu_;
  identity::HostPort address_ TRB_GUARDED_BY(mu_);
  std::unique_ptr<Door> door_ TRB_GUARDED_BY(mu_);
  bool closed_ TRB_GUARDED_BY(mu_) = false;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_ENROLMENT_DOOR_H_
