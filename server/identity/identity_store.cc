#include "server/identity/identity_store.h"

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"

namespace tributary::identity {

std::string_view RoleName(Role role) { return role == Role::kClient ? "client" : "operator"; }

std::string_view SubjectStateName(SubjectState state) {
  switch (state) {
    case SubjectState::kInvited:
      return "invited";
    case SubjectState::kActive:
      return "active";
    case SubjectState::kRevoked:
      return "revoked";
  }
  return "";
}

std::string_view CertificateStateName(CertificateState state) {
  switch (state) {
    case CertificateState::kActive:
      return "active";
    case CertificateState::kSuperseded:
      return "superseded";
    case CertificateState::kRevoked:
      return "revoked";
  }
  return "";
}

EnrolOutcome JudgeInvitation(const InvitationRow& invitation, const std::string& request_sha256, int64_t now_unix_ms) {
  if (invitation.voided) return EnrolOutcome::kVoided;
  if (!invitation.used_request_sha256.empty())
    return invitation.used_request_sha256 == request_sha256 ? EnrolOutcome::kRepeated : EnrolOutcome::kOtherKey;
  return now_unix_ms >= invitation.expires_unix_ms ? EnrolOutcome::kExpired : EnrolOutcome::kEnrolled;
}

absl::Status NameTaken(const Subject& subject) {
  return absl::AlreadyExistsError(absl::StrCat(std::string(RoleName(subject.role)), " ", subject.name, " is ",
                                               subject.state == SubjectState::kRevoked ? "revoked" : "enrolled",
                                               " already: invite with --replace to bring it back under its old id"));
}

absl::Status NoSuchSubject(Role role, std::string_view id_or_name) {
  return absl::NotFoundError(
      absl::StrCat("there is no ", std::string(RoleName(role)), " ", EscapeForLog(id_or_name, 64)));
}

}  // namespace tributary::identity
