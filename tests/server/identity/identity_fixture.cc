#include "tests/server/identity/identity_fixture.h"

#include "absl/strings/str_cat.h"
#include "common/rpc/limits.h"
#include "tests/server/identity/fake_identity_store.h"

namespace tributary::testing {
namespace {

template <class T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) CheckFailed(__FILE__, __LINE__, result.status().ToString().c_str());
  return *std::move(result);
}

}  // namespace

TestFederation::TestFederation(absl::Time now) : clock_(now), store_(MakeFakeIdentityStore()) {
  auto& random = crypto::SecureRandom::System();
  identity::Federation wanted;
  wanted.host = "coordinator.example";
  federation_ = Must(identity::InitFederation(dir_.path(), wanted, *store_, clock_, random));
  authority_ = Must(identity::CertificateAuthority::Load(dir_.path(), federation_.id, clock_, random));
  identity::IdentityService::Options options;
  options.store = store_.get();
  options.authority = authority_.get();
  options.clock = &clock_;
  options.federation = federation_.id;
  options.endpoints = [this] { return endpoints_; };
  options.audit = [this](const v1::AuditEntry& entry) {
    audit_.push_back(absl::StrCat(entry.actor(), " ", entry.action(), " ", entry.subject(), " ", entry.outcome()));
    return absl::OkStatus();
  };
  options.on_ended = [this](identity::Role, const std::string& id, const std::string& reason) {
    revoked_.emplace_back(id, reason);
  };
  service_ = std::make_unique<identity::IdentityService>(std::move(options));
}

identity::Principal TestFederation::Operator() const {
  return {identity::Principal::Role::kOperator, "op", "local", ""};
}

crypto::Invitation TestFederation::Invite(const std::string& name, bool replace, const std::string& role) {
  v1::InviteRequest request;
  request.set_name(name);
  request.set_replace(replace);
  request.set_role(role);
  return Must(crypto::ParseInvitation(Must(service_->Invite(request, Operator())).invitation()));
}

v1::EnrolRequest TestFederation::RequestFor(const crypto::Invitation& invitation, const std::string& request_pem) {
  v1::EnrolRequest request;
  request.set_token_id(invitation.token_id);
  request.set_secret(invitation.secret);
  request.set_csr_pem(request_pem);
  request.set_version("test");
  request.set_protocol_version(rpc::kProtocolVersion);
  return request;
}

TestFederation::Member TestFederation::Join(const std::string& name) {
  crypto::PrivateKey key = Must(crypto::PrivateKey::Generate());
  std::string request_pem = Must(crypto::MakeRequestPem(key));
  auto response = Must(service_->Enrol(RequestFor(Invite(name), request_pem), "127.0.0.1:1"));
  return {std::move(key), std::move(request_pem), std::move(response)};
}

}  // namespace tributary::testing
