#include "tests/support/crowd/members.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/files.h"
#include "common/crypto/certificate_request.h"
#include "common/crypto/invitation.h"
#include "common/crypto/key.h"
#include "common/rpc/limits.h"
#include "nlohmann/json.hpp"
#include "server/identity/ca.h"
#include "server/identity/federation.h"
#include "server/identity/identity_service.h"
#include "server/ledger/identity_ledger.h"
#include "server/ledger/ledger_store.h"

namespace tributary::crowd {
namespace {

constexpr char kVersion[] = "0.1.0";

absl::StatusOr<Member> EnrolOne(identity::IdentityService* service, const std::string& name) {
  v1::InviteRequest invite;
  invite.set_name(name);
  identity::Principal by;
  by.role = identity::Principal::Role::kOperator;
  by.name = "crowd";
  TRB_ASSIGN_OR_RETURN(const v1::Invitation invited, service->Invite(invite, by));
  TRB_ASSIGN_OR_RETURN(const crypto::Invitation invitation, crypto::ParseInvitation(invited.invitation()));
  TRB_ASSIGN_OR_RETURN(const crypto::PrivateKey key, crypto::PrivateKey::Generate());
  v1::EnrolRequest request;
  request.set_token_id(invitation.token_id);
  request.set_secret(invitation.secret);
  TRB_ASSIGN_OR_RETURN(*request.mutable_csr_pem(), crypto::MakeRequestPem(key));
  request.set_version(kVersion);
  request.set_protocol_version(rpc::kProtocolVersion);
  TRB_ASSIGN_OR_RETURN(const v1::EnrolResponse answer, service->Enrol(request, "crowd"));
  return Member{name, answer.id(), key.ToPem(), answer.certificate_pem()};
}

}  // namespace

absl::StatusOr<Members> EnrolAll(const std::string& directory, const std::string& prefix, size_t count) {
  TRB_ASSIGN_OR_RETURN(const auto lock, DirectoryLock::Acquire(directory));
  TRB_ASSIGN_OR_RETURN(const identity::Federation federation, identity::LoadFederation(directory));
  TRB_ASSIGN_OR_RETURN(const auto database, ledger::OpenLedger(directory));
  const auto store = ledger::MakeIdentityLedger(*database);
  TRB_ASSIGN_OR_RETURN(
      const auto authority,
      identity::CertificateAuthority::Load(directory, federation.id, Clock::System(), crypto::SecureRandom::System()));
  identity::IdentityService::Options options;
  options.store = store.get();
  options.authority = authority.get();
  options.federation = federation.id;
  options.endpoints = [] { return identity::Endpoints{"localhost:1", "localhost:2"}; };
  options.audit = [](const v1::AuditEntry&) {};
  options.on_ended = [](identity::Role, const std::string&, const std::string&) {};
  identity::IdentityService service(options);
  Members all{federation.id, authority->certificate().pem(), {}};
  for (size_t i = 1; i <= count; ++i) {
    TRB_ASSIGN_OR_RETURN(Member member, EnrolOne(&service, absl::StrFormat("%s%04d", prefix, i)));
    all.members.push_back(std::move(member));
  }
  return all;
}

absl::Status StoreMembers(const std::string& path, const Members& members) {
  nlohmann::json document = {{"federation", members.federation}, {"ca", members.ca_pem}};
  for (const Member& m : members.members) {
    document["members"].push_back(
        {{"name", m.name}, {"id", m.id}, {"key", m.key_pem}, {"certificate", m.certificate_pem}});
  }
  return WriteFileDurably(path, document.dump(), 0600);
}

absl::StatusOr<Members> LoadMembers(const std::string& path) {
  TRB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const nlohmann::json document = nlohmann::json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains("members")) return absl::InvalidArgumentError("no file of a crowd");
  Members all{document["federation"], document["ca"], {}};
  for (const auto& m : document["members"]) {
    all.members.push_back({m["name"], m["id"], m["key"], m["certificate"]});
  }
  return all;
}

}  // namespace tributary::crowd
