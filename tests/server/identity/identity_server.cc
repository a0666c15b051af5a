#include "tests/server/identity/identity_server.h"

#include <grpcpp/grpcpp.h>

#include "common/rpc/deadline.h"
#include "common/rpc/peer.h"
#include "common/rpc/status_codes.h"
#include "tests/common/rpc/tls_fixture.h"
#include "tributary/v1/enrolment.grpc.pb.h"
#include "tributary/v1/federation.grpc.pb.h"
#include "tributary/v1/operator.grpc.pb.h"

namespace tributary::testing {
namespace {

using identity::IdentityService;
using rpc::Listener;

class Enrolment final : public v1::EnrolmentService::Service {
 public:
  explicit Enrolment(IdentityService& identity) : identity_(identity) {}
  grpc::Status Enrol(grpc::ServerContext* context, const v1::EnrolRequest* request, v1::EnrolResponse* out) override {
    const auto caller = identity_.Authorize(Listener::kEnrolment, "/tributary.v1.EnrolmentService/Enrol",
                                            rpc::PeerCertificatePem(*context));
    if (!caller.ok()) return rpc::ToGrpc(caller.status());
    const auto response = identity_.Enrol(*request, rpc::PeerAddress(*context));
    if (response.ok()) *out = *response;
    return rpc::ToGrpc(response.status());
  }

 private:
  IdentityService& identity_;
};

class Federation final : public v1::FederationService::Service {
 public:
  explicit Federation(IdentityService& identity) : identity_(identity) {}
  grpc::Status BeginUpload(grpc::ServerContext* context, const v1::BeginUploadRequest*,
                           v1::BeginUploadResponse*) override {
    return rpc::ToGrpc(Caller("/tributary.v1.FederationService/BeginUpload", *context).status());
  }
  grpc::Status Renew(grpc::ServerContext* context, const v1::RenewRequest* request, v1::RenewResponse* out) override {
    const auto caller = Caller("/tributary.v1.FederationService/Renew", *context);
    if (!caller.ok()) return rpc::ToGrpc(caller.status());
    const auto response = identity_.Renew(*request, *caller);
    if (response.ok()) *out = *response;
    return rpc::ToGrpc(response.status());
  }

 private:
  absl::StatusOr<identity::Principal> Caller(const char* method, const grpc::ServerContext& context) {
    return identity_.Authorize(Listener::kMain, method, rpc::PeerCertificatePem(context));
  }
  IdentityService& identity_;
};

class Operators final : public v1::OperatorService::Service {
 public:
  explicit Operators(IdentityService& identity) : identity_(identity) {}
  grpc::Status ListRuns(grpc::ServerContext* context, const v1::ListRunsRequest*, v1::RunList*) override {
    return rpc::ToGrpc(
        identity_
            .Authorize(Listener::kMain, "/tributary.v1.OperatorService/ListRuns", rpc::PeerCertificatePem(*context))
            .status());
  }

 private:
  IdentityService& identity_;
};

}  // namespace

struct IdentityServer::Impl {
  explicit Impl(TestFederation& federation)
      : directory(identity::ServerCredentialDirectory(federation.directory())),
        enrol_directory(identity::EnrolCredentialDirectory(federation.directory())),
        enrolment(federation.service()),
        federation_service(federation.service()),
        operators(federation.service()),
        enrol_server(Listener::kEnrolment, enrol_directory, {&enrolment}),
        main_server(Listener::kMain, directory, {&federation_service, &operators}),
        main_endpoint(main_server.endpoint()) {
    federation.endpoints() = {main_endpoint, enrol_server.endpoint()};
  }
  const crypto::CredentialDirectory directory, enrol_directory;
  Enrolment enrolment;
  Federation federation_service;
  Operators operators;
  TestServer enrol_server, main_server;
  const std::string main_endpoint;
};

IdentityServer::IdentityServer(TestFederation& federation) : impl_(std::make_unique<Impl>(federation)) {}
IdentityServer::~IdentityServer() = default;

const std::string& IdentityServer::main_endpoint() const { return impl_->main_endpoint; }

absl::Status IdentityServer::CallAsClient(const crypto::CredentialDirectory& directory) const {
  TRB_ASSIGN_OR_RETURN(const auto channel, rpc::OpenChannel(impl_->main_endpoint, directory));
  grpc::ClientContext context;
  rpc::SetTimeout(absl::Seconds(20), &context);
  v1::BeginUploadResponse response;
  return rpc::FromGrpc(
      v1::FederationService::NewStub(channel)->BeginUpload(&context, v1::BeginUploadRequest(), &response));
}

absl::Status IdentityServer::CallAsOperator(const crypto::CredentialDirectory& directory) const {
  TRB_ASSIGN_OR_RETURN(const auto channel, rpc::OpenChannel(impl_->main_endpoint, directory));
  grpc::ClientContext context;
  rpc::SetTimeout(absl::Seconds(20), &context);
  v1::RunList response;
  return rpc::FromGrpc(v1::OperatorService::NewStub(channel)->ListRuns(&context, v1::ListRunsRequest(), &response));
}

}  // namespace tributary::testing
