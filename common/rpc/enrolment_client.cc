#include "common/rpc/enrolment_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/error_report.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/rpc/authority_list.h"
#include "common/rpc/credentials.h"
#include "common/rpc/deadline.h"
#include "common/rpc/limits.h"
#include "common/rpc/status_codes.h"
#include "tributary/v1/enrolment.grpc.pb.h"
#include "tributary/v1/federation.grpc.pb.h"

namespace tributary::rpc {
namespace {

constexpr uint64_t kMaxIdentityBytes = 16384;
constexpr int kMostReports = 3;  // what was taken over is reported once more; a list that changes each time is no list
constexpr char kCarryOver[] = "carry it over again in full, or ask the operator for a new one";
constexpr char kNewInvitation[] = "ask the operator for a new invitation; what was wrong with this one is in the audit";

std::string IdentityPath(const std::string& root) { return root + "/identity.json"; }

std::string WordFor(crypto::InvitedRole role) { return role == crypto::InvitedRole::kClient ? "client" : "operator"; }

// An answer that a retry cannot change. Anything else (no answer, or trouble on the other side) keeps key and request.
bool IsDefinitive(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status) || absl::IsFailedPrecondition(status) ||
         absl::IsInvalidArgument(status);
}

absl::Status CheckRole(const crypto::Invitation& invitation, const JoinOptions& options) {
  if (invitation.role == options.role) return absl::OkStatus();
  const bool client = invitation.role == crypto::InvitedRole::kClient;
  const char* const program = client ? "tributary-client join" : "tributary join";
  return WithFix(absl::PermissionDeniedError(absl::StrCat(
                     "this invitation is for ", client ? "a client" : "an operator", ": use `", program, "`")),
                 absl::StrCat("use `", program, "`"));
}

// Whether an invitation is still good is the coordinator's to say: its clock counts, it writes the audit, and it takes
// a repeated request after the end. But a closed door after the end needs no retry, unless an earlier attempt with this
// key may have got through.
absl::Status ExplainUnreachable(const absl::Status& status, const crypto::Invitation& invitation, bool first_attempt,
                                const Clock& clock) {
  if (!absl::IsUnavailable(status) || !first_attempt || clock.Now() < invitation.expires) return status;
  return absl::PermissionDeniedError(absl::StrCat("the invitation expired at ",
                                                  absl::FormatTime(invitation.expires, absl::UTCTimeZone()),
                                                  ": ask the operator for a new one"));
}

absl::StatusOr<v1::EnrolResponse> CallEnrol(const crypto::Invitation& invitation, const std::string& request_pem,
                                            const JoinOptions& options) {
  TRB_ASSIGN_OR_RETURN(auto channel, OpenEnrolmentChannel(invitation.enrol_endpoint, invitation.ca_certificate_pem));
  v1::EnrolRequest request;
  request.set_token_id(invitation.token_id);
  request.set_secret(invitation.secret);
  request.set_csr_pem(request_pem);
  request.set_version(options.version);
  request.set_protocol_version(kProtocolVersion);
  grpc::ClientContext context;
  SetTimeout(options.timeout, &context);
  v1::EnrolResponse response;
  absl::Status status = FromGrpc(v1::EnrolmentService::NewStub(channel)->Enrol(&context, request, &response));
  // A server that is out of date by this clock may be the right one: the clock is to be set, and the invitation holds.
  if (const absl::Status wrong = WrongServer(status); absl::IsPermissionDenied(wrong))
    status = absl::PermissionDeniedError(absl::StrCat(
        "the server at ", invitation.enrol_endpoint, " is not the coordinator that this invitation names (",
        absl::string_view(wrong.message()), "): ask the operator for a new one"));
  if (!status.ok()) return Annotate(status, absl::StrCat("enrol at ", invitation.enrol_endpoint));
  return response;
}

// What the coordinator answered has to fit what the invitation pins.
absl::StatusOr<LocalIdentity> Accept(const v1::EnrolResponse& response, const crypto::Invitation& invitation,
                                     const Clock& clock, crypto::CredentialDirectory* directory) {
  TRB_ASSIGN_OR_RETURN(const auto pinned, crypto::Certificate::FromPem(invitation.ca_certificate_pem));
  TRB_ASSIGN_OR_RETURN(const auto certificate, crypto::Certificate::FromPem(response.certificate_pem()));
  if (response.role() != WordFor(invitation.role) || !IsValidName(response.name()) || !IsValidName(response.id()) ||
      !IsValidName(response.federation()))
    return absl::InternalError("the coordinator's answer to the enrolment makes no sense");
  LocalIdentity out{response.id(),         response.name(),          response.role(),
                    response.federation(), invitation.main_endpoint, invitation.enrol_endpoint};
  TRB_ASSIGN_OR_RETURN(const crypto::TrustList trust,
                       AdoptFrom(response.authorities(), pinned, certificate, clock.Now()));
  TRB_RETURN_IF_ERROR(directory->InstallPending(certificate, trust));
  TRB_RETURN_IF_ERROR(StoreLocalIdentity(directory->root(), out));
  TRB_RETURN_IF_ERROR(directory->DropPending());
  return out;
}

// A pending key that is installed already was left by a crash just before its removal; asking again with it would give
// the certificate that is to be renewed.
absl::StatusOr<crypto::PendingRequest> PrepareRenewal(const crypto::Credential& current,
                                                      crypto::CredentialDirectory* directory) {
  TRB_ASSIGN_OR_RETURN(crypto::PendingRequest pending, directory->PreparePending());
  if (!current.certificate.Certifies(pending.key)) return pending;
  TRB_RETURN_IF_ERROR(directory->DropPending());
  return directory->PreparePending();
}

absl::Status CallRenew(const std::string& endpoint, const std::string& request_pem, absl::Duration timeout,
                       const crypto::CredentialDirectory& directory, v1::RenewResponse* response) {
  TRB_ASSIGN_OR_RETURN(auto channel, OpenChannel(endpoint, directory));
  v1::RenewRequest request;
  request.set_csr_pem(request_pem);
  grpc::ClientContext context;
  SetTimeout(timeout, &context);
  return FromGrpc(v1::FederationService::NewStub(channel)->Renew(&context, request, response));
}

absl::Status CallReportTrust(const std::string& endpoint, const crypto::TrustList& trust, absl::Duration timeout,
                             const crypto::CredentialDirectory& directory, v1::AuthorityList* told) {
  TRB_ASSIGN_OR_RETURN(auto channel, OpenChannel(endpoint, directory));
  v1::TrustReport report;
  for (const std::string& digest : trust.TrustedDigests()) report.add_authorities(digest);
  grpc::ClientContext context;
  SetTimeout(timeout, &context);
  return FromGrpc(v1::FederationService::NewStub(channel)->ReportTrust(&context, report, told));
}

}  // namespace

absl::StatusOr<LocalIdentity> LoadLocalIdentity(const std::string& root) {
  const std::string path = IdentityPath(root);
  TRB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxIdentityBytes));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  LocalIdentity out;
  const std::pair<const char*, std::string*> fields[] = {
      {"id", &out.id},
      {"name", &out.name},
      {"role", &out.role},
      {"federation", &out.federation},
      {"main_endpoint", &out.main_endpoint},
      {"enrol_endpoint", &out.enrol_endpoint},
  };
  for (const auto& [key, value] : fields) {
    const auto* text_value = json.is_object() && json.contains(key) ? json[key].get_ptr<const std::string*>() : nullptr;
    if (text_value == nullptr) return absl::InvalidArgumentError(absl::StrCat(path, ": no text \"", key, "\""));
    *value = *text_value;
  }
  return out;
}

absl::Status StoreLocalIdentity(const std::string& root, const LocalIdentity& identity) {
  const nlohmann::ordered_json json = {
      {"id", identity.id},
      {"name", identity.name},
      {"role", identity.role},
      {"federation", identity.federation},
      {"main_endpoint", identity.main_endpoint},
      {"enrol_endpoint", identity.enrol_endpoint},
  };
  return WriteFileDurably(IdentityPath(root), json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                          0600);
}

absl::Status CheckNoAuthority(const std::string& root) {
  if (!FileExists(root + "/ca")) return absl::OkStatus();
  return WithFix(absl::AlreadyExistsError(absl::StrCat(root, " holds the keys of a coordinator")),
                 "join with another --dir: a member needs a directory of its own");
}

absl::StatusOr<LocalIdentity> JoinFederation(const std::string& invitation_text, const std::string& root,
                                             const JoinOptions& options, const Clock& clock) {
  TRB_RETURN_IF_ERROR(CheckNoAuthority(root));
  if (FileExists(IdentityPath(root)))
    return absl::AlreadyExistsError(
        absl::StrCat(root, " has joined a federation before: use another directory, or remove this one first"));
  const absl::StatusOr<crypto::Invitation> parsed = crypto::ParseInvitation(invitation_text);
  if (!parsed.ok()) return WithFix(parsed.status(), kCarryOver);
  const crypto::Invitation& invitation = *parsed;
  TRB_RETURN_IF_ERROR(CheckRole(invitation, options));
  crypto::CredentialDirectory directory(root);
  const bool first_attempt = !directory.HasPending();
  TRB_ASSIGN_OR_RETURN(const crypto::PendingRequest pending, directory.PreparePending());
  absl::StatusOr<v1::EnrolResponse> response = CallEnrol(invitation, pending.request_pem, options);
  if (!response.ok()) {
    const absl::Status status = ExplainUnreachable(response.status(), invitation, first_attempt, clock);
    if (IsDefinitive(status)) TRB_RETURN_IF_ERROR(directory.DropPending());
    return absl::IsPermissionDenied(status) ? WithFix(status, kNewInvitation) : status;
  }
  return Accept(*response, invitation, clock, &directory);
}

absl::Status RenewCredential(const std::string& endpoint, const std::string& root, absl::Duration timeout) {
  crypto::CredentialDirectory directory(root);
  TRB_ASSIGN_OR_RETURN(const crypto::Credential current, directory.Load());
  TRB_ASSIGN_OR_RETURN(const crypto::PendingRequest pending, PrepareRenewal(current, &directory));
  v1::RenewResponse response;
  const absl::Status status = CallRenew(endpoint, pending.request_pem, timeout, directory, &response);
  if (!status.ok()) {
    if (IsDefinitive(status)) TRB_RETURN_IF_ERROR(directory.DropPending());
    return Annotate(status, absl::StrCat("renew at ", endpoint));
  }
  TRB_ASSIGN_OR_RETURN(const auto certificate, crypto::Certificate::FromPem(response.certificate_pem()));
  // News that nobody vouches for is left: without it the certificate may still be good.
  const auto trust = AdoptFrom(response.authorities(), current.trust, certificate, Clock::System().Now());
  if (!trust.ok()) Log(LogLevel::kError, "authority_refused", {{"reason", trust.status().message()}});
  TRB_RETURN_IF_ERROR(directory.InstallPending(certificate, trust.ok() ? *trust : current.trust));
  return directory.DropPending();
}

absl::StatusOr<bool> FollowAuthorities(const std::string& endpoint, const std::string& root, const Clock& clock,
                                       absl::Duration timeout) {
  crypto::CredentialDirectory directory(root);
  bool due = false;
  for (int time = 0; time < kMostReports; ++time) {
    TRB_ASSIGN_OR_RETURN(const crypto::Credential own, directory.Load());
    v1::AuthorityList told;
    TRB_RETURN_IF_ERROR(CallReportTrust(endpoint, own.trust, timeout, directory, &told));
    TRB_ASSIGN_OR_RETURN(const crypto::TrustList trust, AdoptFrom(told, own.trust, own.certificate, clock.Now()));
    TRB_ASSIGN_OR_RETURN(const bool changed, directory.InstallTrust(trust));
    due = !own.certificate.IssuedBy(trust.active());
    if (!changed) break;
  }
  return due;
}

}  // namespace tributary::rpc
