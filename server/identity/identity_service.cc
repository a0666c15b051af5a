#include "server/identity/identity_service.h"

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/logging.h"
#include "common/crypto/certificate_request.h"
#include "common/crypto/digest.h"
#include "common/crypto/invitation.h"
#include "common/rpc/limits.h"
#include "common/rpc/peer_check.h"
#include "common/wire/check.h"
#include "server/identity/invite_request.h"
#include "server/identity/permissions.h"
#include "server/identity/rotation.h"

namespace tributary::identity {
namespace {

constexpr size_t kIdBytes = 8;
constexpr size_t kSecretBytes = 32;
constexpr size_t kInvitationsRemembered = 256;
// The same whatever is wrong with an invitation: a stranger learns nothing.
constexpr char kRefusal[] = "the invitation is not valid: ask the operator for a new one";

absl::Status Refused(const std::string& reason) { return absl::PermissionDeniedError(reason); }

absl::Status CheckGood(const Known& known, int64_t now_unix_ms) {
  const CertificateRow& certificate = known.certificate;
  if (known.subject.state != SubjectState::kActive)
    return absl::UnauthenticatedError("this identity is revoked or replaced: ask the operator for an invitation");
  if (certificate.state == CertificateState::kSuperseded)
    return absl::UnauthenticatedError("this certificate was replaced by a newer one");
  if (certificate.state == CertificateState::kRevoked)
    return absl::UnauthenticatedError("this certificate is revoked: ask the operator for an invitation");
  const auto clocks = [now_unix_ms](int64_t date_unix_ms) {
    return absl::StrCat(rpc::DateText(absl::FromUnixMillis(date_unix_ms)), ", and the coordinator's clock says ",
                        rpc::DateText(absl::FromUnixMillis(now_unix_ms)));
  };
  if (now_unix_ms >= certificate.not_after_unix_ms)
    return absl::UnauthenticatedError(absl::StrCat("this certificate has expired at ",
                                                   clocks(certificate.not_after_unix_ms),
                                                   ": ask the operator for an invitation, or to set that clock"));
  if (now_unix_ms < certificate.not_before_unix_ms)
    return absl::UnauthenticatedError(absl::StrCat("this certificate is not valid before ",
                                                   clocks(certificate.not_before_unix_ms),
                                                   ": ask the operator to set that clock"));
  return absl::OkStatus();
}

v1::Client ToClient(const Subject& subject, const std::function<bool(const std::string& id)>& online) {
  v1::Client out;
  out.set_name(subject.name);
  out.set_id(subject.id);
  if (subject.state == SubjectState::kActive)
    out.set_state(online != nullptr && online(subject.id) ? "online" : "offline");
  else
    out.set_state(std::string(SubjectStateName(subject.state)));
  out.set_examples(subject.dataset.examples());
  out.set_last_seen_unix_ms(subject.last_seen_unix_ms);
  out.set_certificate_not_after_unix_ms(subject.certificate_not_after_unix_ms);
  out.set_version(subject.version);
  out.set_engine(subject.engine);
  out.mutable_labels()->insert(subject.labels.begin(), subject.labels.end());
  *out.mutable_shape() = subject.dataset.shape();
  *out.mutable_classes() = subject.dataset.classes();
  return out;
}

// What the store's verdict means, for the audit.
absl::Status OutcomeStatus(EnrolOutcome outcome) {
  switch (outcome) {
    case EnrolOutcome::kEnrolled:
    case EnrolOutcome::kRepeated:
      return absl::OkStatus();
    case EnrolOutcome::kUnknown:
      return Refused("unknown invitation");
    case EnrolOutcome::kExpired:
      return Refused("expired invitation");
    case EnrolOutcome::kOtherKey:
      return Refused("invitation used before with another key");
    case EnrolOutcome::kVoided:
      return Refused("invitation replaced or revoked");
  }
  return absl::InternalError("unknown outcome");
}

}  // namespace

std::string Principal::Actor() const {
  if (role == Role::kStranger) return name.empty() ? "stranger" : absl::StrCat("stranger/", name);
  return absl::StrCat(is_client() ? "client/" : "operator/", name);
}

IdentityService::IdentityService(Options options)
    : options_(std::move(options)), renewals_(options_.renewals, options_.clock) {
  TRB_CHECK(options_.store != nullptr && options_.authority != nullptr && options_.endpoints != nullptr);
}

absl::Status IdentityService::Audit(const Principal& by, std::string_view action, const std::string& subject,
                                    std::string_view outcome) const {
  if (options_.audit == nullptr) return absl::OkStatus();
  v1::AuditEntry entry;
  entry.set_time_unix_ms(options_.clock->NowUnixMillis());
  entry.set_actor(by.Actor());
  entry.set_certificate_sha256(by.certificate_sha256);
  entry.set_action(std::string(action));
  entry.set_subject(subject);
  entry.set_outcome(std::string(outcome));
  return options_.audit(entry);
}

void IdentityService::AuditRefusal(const Principal& by, std::string_view action, const std::string& subject,
                                   const absl::Status& why) const {
  const absl::Status written =
      Audit(by, action, subject, absl::StrCat("refused: ", EscapeForLog(std::string(why.message()), 1000)));
  if (!written.ok()) Log(LogLevel::kError, "audit_failed", {{"action", action}, {"reason", written.ToString()}});
}

absl::StatusOr<Principal> IdentityService::Authorize(rpc::Listener listener, std::string_view method,
                                                     std::string_view peer_certificate_pem,
                                                     const std::string& address) {
  Principal who;
  who.name = address;
  absl::StatusOr<Principal> caller = Judge(listener, method, peer_certificate_pem, &who);
  if (absl::IsUnauthenticated(caller.status()) || absl::IsPermissionDenied(caller.status()))
    AuditRefusal(who, "call", std::string(method), caller.status());
  return caller;
}

absl::StatusOr<Principal> IdentityService::Judge(rpc::Listener listener, std::string_view method,
                                                 std::string_view peer_certificate_pem, Principal* who) {
  if (peer_certificate_pem.empty()) {
    if (IsAllowed(listener, method, Caller::kStranger)) return Principal{};
    return absl::UnauthenticatedError("a certificate of this federation is needed");
  }
  const auto certificate = crypto::Certificate::FromPem(peer_certificate_pem);
  if (!certificate.ok()) return absl::UnauthenticatedError("the certificate cannot be read");
  who->certificate_sha256 = certificate->sha256();
  const absl::StatusOr<Known> known = options_.store->FindCertificate(certificate->sha256());
  if (absl::IsNotFound(known.status()))
    return absl::UnauthenticatedError("this certificate was never issued by this coordinator");
  TRB_RETURN_IF_ERROR(known.status());
  const bool client = known->subject.role == Role::kClient;
  *who = {client ? Principal::Role::kClient : Principal::Role::kOperator, known->subject.id, known->subject.name,
          certificate->sha256()};
  const int64_t now = options_.clock->NowUnixMillis();
  if (const absl::Status good = CheckGood(*known, now); !good.ok()) return Explained(good, *known, *certificate);
  if (!IsAllowed(listener, method, client ? Caller::kClient : Caller::kOperator))
    return absl::PermissionDeniedError(absl::StrCat(client ? "a client" : "an operator", " may not call this"));
  if (known->certificate.first_used_unix_ms == 0) {
    const absl::Status marked = options_.store->MarkUsed(certificate->sha256(), now);
    if (absl::IsFailedPrecondition(marked)) return absl::UnauthenticatedError("this identity has just been revoked");
    TRB_RETURN_IF_ERROR(marked);
  }
  return *who;
}

absl::Status IdentityService::Explained(const absl::Status& refusal, const Known& known,
                                        const crypto::Certificate& shown) const {
  const bool alone = known.subject.state == SubjectState::kActive &&
                     known.certificate.state == CertificateState::kRevoked &&
                     options_.authority->set()->Trust().IssuerOf(shown) == nullptr;
  if (!alone) return refusal;
  return absl::UnauthenticatedError(
      "this certificate is of an authority that this federation has retired: ask the operator for an invitation");
}

absl::StatusOr<v1::Invitation> IdentityService::Invite(const v1::InviteRequest& request, const Principal& by) {
  const std::string action = absl::StrCat(std::string(RoleName(InvitedRole(request))), ".invite");
  if (const absl::Status valid = ValidateInvite(request, options_.max_invitation_life); !valid.ok()) {
    AuditRefusal(by, action, EscapeForLog(request.name(), 64), valid);
    return valid;
  }
  if (!request.request_id().empty()) {
    const MutexLock lock(&mu_);
    for (const auto& [id, answer] : answered_)
      if (id == request.request_id() && answer.name() == request.name()) return answer;
  }
  auto made = MakeInvitation(request, by);
  if (!made.ok()) AuditRefusal(by, action, request.name(), made.status());
  if (made.ok() && !request.request_id().empty()) {
    const MutexLock lock(&mu_);
    answered_.emplace_back(request.request_id(), *made);
    if (answered_.size() > kInvitationsRemembered) answered_.pop_front();
  }
  return made;
}

absl::StatusOr<v1::Invitation> IdentityService::MakeInvitation(const v1::InviteRequest& request, const Principal& by) {
  const Role role = InvitedRole(request);
  const Endpoints endpoints = options_.endpoints();
  const absl::Time now = options_.clock->Now();
  crypto::Invitation token;
  token.role = role == Role::kClient ? crypto::InvitedRole::kClient : crypto::InvitedRole::kOperator;
  token.main_endpoint = endpoints.main;
  token.enrol_endpoint = endpoints.enrol;
  token.ca_certificate_pem = options_.authority->certificate().pem();
  token.token_id = options_.random->Hex(kIdBytes);
  token.secret = options_.random->Bytes(kSecretBytes);
  token.expires = now + (request.expires_in_ms() == 0 ? options_.default_invitation_life
                                                      : absl::Milliseconds(request.expires_in_ms()));
  TRB_ASSIGN_OR_RETURN(const std::string text, crypto::EncodeInvitation(token));

  NewInvitation stored;
  stored.invitation.token_id = token.token_id;
  stored.invitation.secret_sha256 = crypto::Sha256Hex(token.secret);
  stored.invitation.role = role;
  stored.invitation.subject_id = options_.random->Hex(kIdBytes);
  stored.invitation.name = request.name();
  stored.invitation.created_unix_ms = absl::ToUnixMillis(now);
  stored.invitation.expires_unix_ms = absl::ToUnixMillis(token.expires);
  stored.labels.insert(request.labels().begin(), request.labels().end());
  stored.replace = request.replace();
  InviteResult result;
  const absl::Status done = options_.store->Together([&]() -> absl::Status {
    TRB_ASSIGN_OR_RETURN(result, options_.store->AddInvitation(stored));
    return Audit(by, absl::StrCat(std::string(RoleName(role)), ".invite"), request.name(), "ok");
  });
  TRB_RETURN_IF_ERROR(done);
  if (result.ended_sessions) Ended(role, result.subject_id, absl::StrCat("replaced by ", by.Actor()));

  v1::Invitation out;
  out.set_schema_version(1);
  out.set_name(request.name());
  out.set_invitation(text);
  out.set_expires_unix_ms(stored.invitation.expires_unix_ms);
  out.set_role(std::string(RoleName(role)));
  return out;
}

absl::StatusOr<IdentityService::Enrolled> IdentityService::TryEnrol(const v1::EnrolRequest& request,
                                                                    const Principal& by, std::string* subject) {
  if (!wire::Check(request).ok()) return Refused("malformed request");
  const auto invitation = options_.store->GetInvitation(request.token_id());
  if (absl::IsNotFound(invitation.status())) return Refused("unknown invitation");
  TRB_RETURN_IF_ERROR(invitation.status());
  if (!crypto::ConstantTimeEquals(invitation->secret_sha256, crypto::Sha256Hex(request.secret())))
    return Refused("wrong secret");
  *subject = invitation->name;
  const auto csr = crypto::ParseRequest(request.csr_pem());
  if (!csr.ok()) return Refused(std::string(csr.status().message()));
  TRB_ASSIGN_OR_RETURN(
      const crypto::Certificate certificate,
      options_.authority->IssuePeer(csr->public_key, invitation->role, invitation->subject_id, invitation->name));
  const CertificateRow row =
      ToRow(certificate, invitation->role, invitation->subject_id, csr->sha256, options_.clock->NowUnixMillis());
  EnrolResult result;
  const absl::Status done = options_.store->Together([&]() -> absl::Status {
    TRB_ASSIGN_OR_RETURN(result, options_.store->Enrol(invitation->token_id, row));
    TRB_RETURN_IF_ERROR(OutcomeStatus(result.outcome));
    return Audit(by, "enrol", invitation->name, "ok");
  });
  TRB_RETURN_IF_ERROR(done);
  return Enrolled{std::move(result.certificate), invitation->name};
}

absl::StatusOr<v1::EnrolResponse> IdentityService::Enrol(const v1::EnrolRequest& request, const std::string& address) {
  if (request.protocol_version() != rpc::kProtocolVersion)
    return absl::FailedPreconditionError(absl::StrCat("this coordinator speaks protocol ", rpc::kProtocolVersion,
                                                      ", the caller ", request.protocol_version(),
                                                      ": install the version that fits"));
  std::string subject = EscapeForLog(request.token_id(), 64);
  const Principal stranger{Principal::Role::kStranger, "", address, ""};
  const auto enrolled = TryEnrol(request, stranger, &subject);
  if (!enrolled.ok()) {
    AuditRefusal(stranger, "enrol", subject, enrolled.status());
    if (absl::IsPermissionDenied(enrolled.status())) return absl::PermissionDeniedError(kRefusal);
    return enrolled.status();
  }
  v1::EnrolResponse out;
  const std::shared_ptr<const AuthoritySet> set = options_.authority->set();
  out.set_certificate_pem(enrolled->certificate.pem);
  out.set_ca_certificate_pem(set->issuer.certificate.pem());
  out.set_id(enrolled->certificate.subject_id);
  out.set_name(enrolled->name);
  out.set_role(std::string(RoleName(enrolled->certificate.role)));
  out.set_federation(options_.federation);
  // Those of the past come with the first welcome: this port's messages are small.
  *out.mutable_authorities() = identity::TellAuthorities(*set, /*with_past=*/false, 0);
  return out;
}

absl::StatusOr<v1::RenewResponse> IdentityService::Renew(const v1::RenewRequest& request, const Principal& by) {
  const Role role = by.is_client() ? Role::kClient : Role::kOperator;
  const absl::StatusOr<crypto::CertificateRequest> csr = crypto::ParseRequest(request.csr_pem());
  if (!csr.ok()) {
    AuditRefusal(by, "renew", by.name, csr.status());
    return csr.status();
  }
  if (!renewals_.Take(by.id)) return absl::ResourceExhaustedError("renewed too often: try again later");
  TRB_ASSIGN_OR_RETURN(const crypto::Certificate certificate,
                       options_.authority->IssuePeer(csr->public_key, role, by.id, by.name));
  CertificateRow row = ToRow(certificate, role, by.id, csr->sha256, options_.clock->NowUnixMillis());
  const absl::Status renewed = options_.store->Together([&]() -> absl::Status {
    TRB_ASSIGN_OR_RETURN(row, options_.store->Renew(by.certificate_sha256, row));
    return Audit(by, "renew", by.name, "ok");
  });
  if (absl::IsFailedPrecondition(renewed)) {
    AuditRefusal(by, "renew", by.name, absl::FailedPreconditionError("no longer active"));
    return absl::UnauthenticatedError("this identity is no longer active: ask the operator for an invitation");
  }
  TRB_RETURN_IF_ERROR(renewed);
  v1::RenewResponse out;
  out.set_certificate_pem(row.pem);
  out.set_ca_certificate_pem(options_.authority->certificate().pem());
  *out.mutable_authorities() = TellAuthorities(0);
  return out;
}

v1::AuthorityList IdentityService::TellAuthorities(uint64_t clients) const {
  return identity::TellAuthorities(*options_.authority->set(), /*with_past=*/true, clients);
}

absl::Status IdentityService::RecordTrust(const Principal& by, const v1::TrustReport& report) {
  const Role role = by.is_client() ? Role::kClient : Role::kOperator;
  return options_.store->RecordTrust(role, by.id, {report.authorities().begin(), report.authorities().end()},
                                     options_.clock->NowUnixMillis());
}

absl::StatusOr<Subject> IdentityService::Revoke(Role role, const std::string& name, const Principal& by) {
  const std::string action = absl::StrCat(std::string(RoleName(role)), ".revoke");
  auto subject = options_.store->GetSubject(role, name);
  if (!subject.ok()) {
    AuditRefusal(by, action, EscapeForLog(name, 64), absl::NotFoundError("no such name"));
    return subject.status();
  }
  const absl::Status done = options_.store->Together([&]() -> absl::Status {
    TRB_RETURN_IF_ERROR(options_.store->Revoke(role, subject->id, options_.clock->NowUnixMillis()).status());
    return Audit(by, action, name, "ok");
  });
  TRB_RETURN_IF_ERROR(done);
  // Also when it was revoked before: a repeated call mends a cut that was missed.
  Ended(role, subject->id, absl::StrCat("revoked by ", by.Actor()));
  return options_.store->GetSubjectById(role, subject->id);
}

void IdentityService::Ended(Role role, const std::string& id, const std::string& reason) const {
  if (options_.on_ended != nullptr) options_.on_ended(role, id, reason);
}

absl::StatusOr<v1::Client> IdentityService::RevokeClient(const std::string& name, const Principal& by) {
  TRB_ASSIGN_OR_RETURN(const Subject subject, Revoke(Role::kClient, name, by));
  return ToClient(subject, nullptr);
}

absl::Status IdentityService::RevokeOperator(const std::string& name, const Principal& by) {
  return Revoke(Role::kOperator, name, by).status();
}

absl::StatusOr<std::vector<v1::Client>> IdentityService::ListClients(
    const std::function<bool(const std::string& id)>& online) {
  TRB_ASSIGN_OR_RETURN(const std::vector<Subject> subjects, options_.store->ListSubjects(Role::kClient));
  std::vector<v1::Client> out;
  for (const Subject& subject : subjects) out.push_back(ToClient(subject, online));
  return out;
}

absl::StatusOr<v1::Client> IdentityService::GetClient(const std::string& name,
                                                      const std::function<bool(const std::string& id)>& online) {
  TRB_ASSIGN_OR_RETURN(const Subject subject, options_.store->GetSubject(Role::kClient, name));
  return ToClient(subject, online);
}

absl::StatusOr<std::vector<Subject>> IdentityService::ActiveClients() {
  TRB_ASSIGN_OR_RETURN(std::vector<Subject> subjects, options_.store->ListSubjects(Role::kClient));
  std::erase_if(subjects, [](const Subject& subject) { return subject.state != SubjectState::kActive; });
  return subjects;
}

absl::StatusOr<bool> IdentityService::EnrolmentWanted() {
  return options_.store->EnrolmentWanted(options_.clock->NowUnixMillis());
}

absl::Status IdentityService::RecordHello(const std::string& client_id, const v1::Hello& hello) {
  const int64_t now = options_.clock->NowUnixMillis();
  TRB_RETURN_IF_ERROR(options_.store->RecordHello(client_id, hello, now));
  return options_.store->RecordTrust(Role::kClient, client_id,
                                     {hello.trusted_authorities().begin(), hello.trusted_authorities().end()}, now);
}

absl::Status IdentityService::RecordSeen(const std::string& client_id) {
  return options_.store->RecordSeen(Role::kClient, client_id, options_.clock->NowUnixMillis());
}

std::string IdentityService::NameOfClient(const std::string& client_id) {
  const auto subject = options_.store->GetSubjectById(Role::kClient, client_id);
  return subject.ok() ? subject->name : EscapeForLog(client_id, 64);
}

absl::StatusOr<CertificateRow> IdentityService::SigningCertificate(const std::string& client_id,
                                                                   const std::string& sha256) {
  TRB_ASSIGN_OR_RETURN(const Known known, options_.store->FindCertificate(sha256));
  if (known.subject.role != Role::kClient || known.subject.id != client_id)
    return absl::NotFoundError("this client has no such certificate");
  return known.certificate;
}

}  // namespace tributary::identity
