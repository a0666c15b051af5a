#include "server/service/enrolment_service.h"

#include <utility>

#include "common/rpc/peer.h"

namespace tributary::service {

grpc::ServerUnaryReactor* EnrolmentService::Enrol(grpc::CallbackServerContext* context, const v1::EnrolRequest* request,
                                                  v1::EnrolResponse* response) {
  return gate_.Serve(context, "/tributary.v1.EnrolmentService/Enrol",
                     [this, context, request, response](const identity::Principal&) {
                       auto enrolled = identities_.Enrol(*request, rpc::PeerAddress(*context));
                       if (enrolled.ok()) *response = *std::move(enrolled);
                       return enrolled.status();
                     });
}

}  // namespace tributary::service
