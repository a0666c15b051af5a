// What identity needs remembered: clients, operators, invitations and every certificate ever issued. The SQLite ledger
// (server/ledger/identity_ledger.h) implements it; tests run one suite on it and on an in-memory fake.
//
// Every mutation is one durable transaction that checks again what it depends on: when it returns OK it survives a
// kill -9. Threads: every method is safe from any thread; none calls back.
// Errors: NOT_FOUND (no such client, invitation, certificate), ALREADY_EXISTS, FAILED_PRECONDITION, RESOURCE_EXHAUSTED
// (disk full), INTERNAL.
#ifndef TRIBUTARY_SERVER_IDENTITY_IDENTITY_STORE_H_
#define TRIBUTARY_SERVER_IDENTITY_IDENTITY_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::identity {

enum class Role { kClient, kOperator };
std::string_view RoleName(Role role);  // "client", "operator"

//   invited -> active -> revoked; `invite --replace` leads from active and revoked back to invited.
enum class SubjectState { kInvited, kActive, kRevoked };
std::string_view SubjectStateName(SubjectState state);  // "invited", "active", "revoked"

// A client or an operator. Never deleted; a name is never given to another id of the same role.
struct Subject {
  Role role = Role::kClient;
  std::string id;    // 16 hexadecimal characters
  std::string name;  // unique within its role
  SubjectState state = SubjectState::kInvited;
  std::map<std::string, std::string> labels;  // clients only
  int64_t created_unix_ms = 0;
  int64_t last_seen_unix_ms = 0;              // 0 = never
  int64_t certificate_not_after_unix_ms = 0;  // of the newest certificate that is active; 0 = none
  // Of the last hello; empty before it.
  std::string version, engine;
  v1::DatasetFacts dataset;
};

// active -> superseded (its successor was used) | revoked (the client was, or was replaced)
enum class CertificateState { kActive, kSuperseded, kRevoked };
std::string_view CertificateStateName(CertificateState state);

struct CertificateRow {
  std::string sha256;  // of the DER
  std::string serial;
  Role role = Role::kClient;
  std::string subject_id;
  std::string pem;
  std::string request_sha256;  // of the CSR that it answers; empty for those that the coordinator makes for itself
  int64_t not_before_unix_ms = 0, not_after_unix_ms = 0, issued_unix_ms = 0;
  int64_t first_used_unix_ms = 0;  // 0 = not yet
  CertificateState state = CertificateState::kActive;
};

// A client or an operator that is active, and what it holds: who can follow when an authority is replaced.
struct Member {
  Role role = Role::kClient;
  std::string id, name;
  std::vector<std::string> trusts;            // digests of authorities, as it said last; empty: it never said
  std::vector<std::string> certificate_pems;  // those that are active, the newest last
};

struct InvitationRow {
  std::string token_id;
  std::string secret_sha256;
  Role role = Role::kClient;
  std::string subject_id, name;
  int64_t created_unix_ms = 0, expires_unix_ms = 0;
  std::string used_request_sha256, used_certificate_sha256;  // empty = unused
  bool voided = false;  // by a newer invitation for the same subject, or by revocation; not even repeated then
};

struct NewInvitation {
  InvitationRow invitation;  // subject_id is the id for a new subject; an existing one keeps its own
  std::map<std::string, std::string> labels;
  bool replace = false;
};

struct InviteResult {
  std::string subject_id;
  bool ended_sessions = false;  // the subject was active: its certificates are revoked now
};

// What an authenticated call rests on: the certificate and its owner, read in one view.
struct Known {
  CertificateRow certificate;
  Subject subject;
};

enum class EnrolOutcome {
  kEnrolled,  // this transaction did it
  kRepeated,  // it was done before with the same request: `certificate` is that one
  kUnknown,   // no such token
  kExpired,
  kOtherKey,  // used before with another request
  kVoided,
};

// The verdict on a request with this digest, at this time; pure. Every store asks it inside its transaction.
EnrolOutcome JudgeInvitation(const InvitationRow& invitation, const std::string& request_sha256, int64_t now_unix_ms);

struct EnrolResult {
  EnrolOutcome outcome = EnrolOutcome::kUnknown;
  CertificateRow certificate;  // of kEnrolled and kRepeated
};

// The errors that every store gives: ALREADY_EXISTS for a name that is enrolled or revoked, and NOT_FOUND.
absl::Status NameTaken(const Subject& subject);
absl::Status NoSuchSubject(Role role, std::string_view id_or_name);

class IdentityStore {
 public:
  virtual ~IdentityStore() = default;

  // Runs `work`; the mutations that it calls here, and what it writes to the same database, happen together or not at
  // all: not when it returns an error. An action and its row in the audit.
  virtual absl::Status Together(const std::function<absl::Status()>& work) = 0;

  // ---- invitations
  // Makes or re-invites the subject and voids its other invitations. Without `replace` an active or revoked
  // name is ALREADY_EXISTS; with it the id and history stay, its state becomes invited and all its certificates are
  // revoked in this transaction. Labels replace the old ones, unless a replacement brings none.
  virtual absl::StatusOr<InviteResult> AddInvitation(const NewInvitation& invitation) = 0;
  virtual absl::StatusOr<InvitationRow> GetInvitation(const std::string& token_id) = 0;
  // Uses the invitation for the request and records the certificate that was made for it, provided that the invitation
  // is unused, not voided and not expired at certificate.issued_unix_ms; the subject becomes active. The secret has
  // been checked by the caller.
  virtual absl::StatusOr<EnrolResult> Enrol(const std::string& token_id, const CertificateRow& certificate) = 0;
  // Some invitation is unused, unexpired and not voided, or was used and its certificate is good but unused.
  virtual absl::StatusOr<bool> EnrolmentWanted(int64_t now_unix_ms) = 0;

  // ---- certificates
  virtual absl::StatusOr<Known> FindCertificate(const std::string& sha256) = 0;
  // The certificate's first use: it is marked and all other active certificates of its subject that were issued before
  // it become superseded. FAILED_PRECONDITION when it or its subject is no longer active. Repeating it is OK.
  virtual absl::Status MarkUsed(const std::string& sha256, int64_t now_unix_ms) = 0;
  // Records `renewed`, a successor of the certificate `old_sha256`, provided that the old one and its subject are still
  // active (else FAILED_PRECONDITION). When a certificate for the same request of the same subject is there already
  // that one is returned, whatever its state, and nothing is recorded.
  virtual absl::StatusOr<CertificateRow> Renew(const std::string& old_sha256, const CertificateRow& renewed) = 0;
  // An active operator with its certificate: the coordinator's own. An existing name keeps its id; `subject.id` is
  // otherwise taken. Returns the id. FAILED_PRECONDITION when it is revoked.
  virtual absl::StatusOr<std::string> PutOperator(const Subject& subject, const CertificateRow& certificate) = 0;

  // ---- subjects
  virtual absl::StatusOr<Subject> GetSubject(Role role, const std::string& name) = 0;
  virtual absl::StatusOr<Subject> GetSubjectById(Role role, const std::string& id) = 0;
  virtual absl::StatusOr<std::vector<Subject>> ListSubjects(Role role) = 0;  // by name
  // Revokes the subject, its certificates and its invitations. False when it was revoked before.
  virtual absl::StatusOr<bool> Revoke(Role role, const std::string& id, int64_t now_unix_ms) = 0;
  // What a client said of itself, and that it was there. RecordSeen never moves back.
  virtual absl::Status RecordHello(const std::string& client_id, const v1::Hello& hello, int64_t now_unix_ms) = 0;
  virtual absl::Status RecordSeen(Role role, const std::string& id, int64_t now_unix_ms) = 0;

  // ---- authorities
  // Which ones a client or an operator trusts now, by digest; replaces what it said before.
  virtual absl::Status RecordTrust(Role role, const std::string& id, const std::vector<std::string>& authorities,
                                   int64_t now_unix_ms) = 0;
  virtual absl::StatusOr<std::vector<Member>> ListMembers() = 0;  // clients first, each role by name
  // Revokes these, where they are active; their owners stay as they are.
  virtual absl::Status RevokeCertificates(const std::vector<std::string>& sha256s) = 0;
  // Names of those whose invitation was made before `unix_ms` and still waits to be used.
  virtual absl::StatusOr<std::vector<std::string>> InvitedBefore(int64_t unix_ms, int64_t now_unix_ms) = 0;
  // Voids all invitations that were made before `unix_ms`, used or not.
  virtual absl::Status VoidInvitedBefore(int64_t unix_ms) = 0;
};

}  // namespace tributary::identity

#endif  // TRIBUTARY_SERVER_IDENTITY_IDENTITY_STORE_H_
