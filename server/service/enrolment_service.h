// How strangers with an invitation join (enrolment.proto). Threads and ownership as federation_service.h.
#ifndef TRIBUTARY_SERVER_SERVICE_ENROLMENT_SERVICE_H_
#define TRIBUTARY_SERVER_SERVICE_ENROLMENT_SERVICE_H_

#include "server/identity/identity_service.h"
#include "server/service/gate.h"
#include "tributary/v1/enrolment.grpc.pb.h"

namespace tributary::service {

class EnrolmentService final : public v1::EnrolmentService::CallbackService {
 public:
  EnrolmentService(Gate* gate, identity::IdentityService* identities) : gate_(*gate), identities_(*identities) {}

  grpc::ServerUnaryReactor* Enrol(grpc::CallbackServerContext* context, const v1::EnrolRequest* request,
                                  v1::EnrolResponse* response) override;

 private:
  Gate& gate_;
  identity::IdentityService& identities_;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_ENROLMENT_SERVICE_H_
