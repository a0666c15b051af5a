#include "server/ledger/identity_ledger.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/ledger/audit_ledger.h"
#include "server/ledger/member_rows.h"

namespace tributary::ledger {
namespace {

using identity::CertificateRow;
using identity::CertificateState;
using identity::EnrolOutcome;
using identity::EnrolResult;
using identity::InvitationRow;
using identity::InviteResult;
using identity::Known;
using identity::NewInvitation;
using identity::Role;
using identity::Subject;
using identity::SubjectState;
using storage::Args;
using storage::Bytes;
using storage::Database;
using storage::Row;
using storage::Transaction;

// Table and foreign key of a role. Only these words are ever put into SQL; every value is bound.
struct Names {
  const char* table;
  const char* column;
};
Names NamesOf(Role role) {
  return role == Role::kClient ? Names{"clients", "client_id"} : Names{"operators", "operator_id"};
}

absl::StatusOr<SubjectState> ParseSubjectState(const std::string& text) {
  for (const auto state : {SubjectState::kInvited, SubjectState::kActive, SubjectState::kRevoked})
    if (text == SubjectStateName(state)) return state;
  return absl::InternalError(absl::StrCat("unknown state of a client: ", text));
}

absl::StatusOr<CertificateState> ParseCertificateState(const std::string& text) {
  for (const auto state : {CertificateState::kActive, CertificateState::kSuperseded, CertificateState::kRevoked})
    if (text == CertificateStateName(state)) return state;
  return absl::InternalError(absl::StrCat("unknown state of a certificate: ", text));
}

// The id when `role` is the one asked for, else NULL: a row belongs to a client or to an operator.
storage::Arg IdFor(Role role, const std::string& id, Role column) {
  return role == column ? storage::Arg(id) : storage::Arg(nullptr);
}

constexpr char kCertificateColumns[] =
    "sha256, serial, client_id, operator_id, pem, request_sha256, not_before_unix_ms, not_after_unix_ms, "
    "issued_unix_ms, first_used_unix_ms, state";

absl::Status FillCertificate(const Row& row, CertificateRow* out) {
  out->sha256 = row.Text(0);
  out->serial = row.Text(1);
  out->role = row.IsNull(2) ? Role::kOperator : Role::kClient;
  out->subject_id = row.Text(row.IsNull(2) ? 3 : 2);
  out->pem = row.Text(4);
  out->request_sha256 = row.Text(5);
  out->not_before_unix_ms = row.Int(6);
  out->not_after_unix_ms = row.Int(7);
  out->issued_unix_ms = row.Int(8);
  out->first_used_unix_ms = row.Int(9);
  TRB_ASSIGN_OR_RETURN(out->state, ParseCertificateState(row.Text(10)));
  return absl::OkStatus();
}

absl::Status FillSubject(Role role, const Row& row, Subject* out) {
  out->role = role;
  out->id = row.Text(0);
  out->name = row.Text(1);
  TRB_ASSIGN_OR_RETURN(out->state, ParseSubjectState(row.Text(2)));
  out->created_unix_ms = row.Int(3);
  out->last_seen_unix_ms = row.Int(4);
  out->certificate_not_after_unix_ms = row.Int(5);
  if (role == Role::kOperator) return absl::OkStatus();
  out->version = row.Text(6);
  out->engine = row.Text(7);
  if (!out->dataset.ParseFromString(row.Text(8)))
    return absl::DataLossError(absl::StrCat("client ", out->name, ": its dataset facts cannot be read"));
  return absl::OkStatus();
}

std::string SubjectSql(Role role, const std::string& condition) {
  const Names names = NamesOf(role);
  return absl::StrCat(
      "SELECT id, name, state, created_unix_ms, last_seen_unix_ms, coalesce((SELECT ",
      "max(not_after_unix_ms) FROM certificates c WHERE c.", names.column, " = s.id AND c.state = 'active'), 0)",
      role == Role::kClient ? ", version, engine, dataset_facts" : "", " FROM ", names.table, " s ", condition);
}

// Public methods begin the transaction; the private ones below run inside it.
class IdentityLedger final : public identity::IdentityStore {
 public:
  explicit IdentityLedger(Database& database) : db_(database) {}

  absl::Status Together(const std::function<absl::Status()>& work) override {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::Begin(db_));
    TRB_RETURN_IF_ERROR(work());
    return transaction->Commit();
  }

  absl::StatusOr<InviteResult> AddInvitation(const NewInvitation& invitation) override {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::BeginOrJoin(db_));
    TRB_ASSIGN_OR_RETURN(const InviteResult result, PrepareSubject(invitation));
    const InvitationRow& row = invitation.invitation;
    TRB_RETURN_IF_ERROR(VoidInvitations(row.role, result.subject_id));
    TRB_RETURN_IF_ERROR(db_.Run(
        "INSERT INTO invitations (token_id, secret_sha256, client_id, operator_id, created_unix_ms, expires_unix_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        {row.token_id, row.secret_sha256, IdFor(row.role, result.subject_id, Role::kClient),
         IdFor(row.role, result.subject_id, Role::kOperator), row.created_unix_ms, row.expires_unix_ms}));
    TRB_RETURN_IF_ERROR(transaction->Commit());
    return result;
  }

  absl::StatusOr<InvitationRow> GetInvitation(const std::string& token_id) override {
    InvitationRow out;
    const auto read = [&out](const Row& row) {
      out.token_id = row.Text(0);
      out.secret_sha256 = row.Text(1);
      out.role = row.IsNull(2) ? Role::kOperator : Role::kClient;
      out.subject_id = row.Text(row.IsNull(2) ? 3 : 2);
      out.name = row.Text(4);
      out.created_unix_ms = row.Int(5);
      out.expires_unix_ms = row.Int(6);
      out.used_request_sha256 = row.Text(7);
      out.used_certificate_sha256 = row.Text(8);
      out.voided = row.Bool(9);
    };
    TRB_ASSIGN_OR_RETURN(
        const bool found,
        db_.QueryOne("SELECT i.token_id, i.secret_sha256, i.client_id, i.operator_id, coalesce(c.name, o.name), "
                     "i.created_unix_ms, i.expires_unix_ms, i.used_request_sha256, i.used_certificate_sha256, i.voided "
                     "FROM invitations i LEFT JOIN clients c ON c.id = i.client_id "
                     "LEFT JOIN operators o ON o.id = i.operator_id WHERE i.token_id = ?1",
                     {token_id}, read));
    if (!found) return absl::NotFoundError("no such invitation");
    return out;
  }

  absl::StatusOr<EnrolResult> Enrol(const std::string& token_id, const CertificateRow& certificate) override {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::BeginOrJoin(db_));
    const auto invitation = GetInvitation(token_id);
    if (absl::IsNotFound(invitation.status())) return EnrolResult{EnrolOutcome::kUnknown, {}};
    TRB_RETURN_IF_ERROR(invitation.status());
    const EnrolOutcome outcome =
        identity::JudgeInvitation(*invitation, certificate.request_sha256, certificate.issued_unix_ms);
    if (outcome == EnrolOutcome::kRepeated) {
      TRB_ASSIGN_OR_RETURN(Known known, Find(invitation->used_certificate_sha256));
      TRB_RETURN_IF_ERROR(transaction->Commit());
      return EnrolResult{outcome, std::move(known.certificate)};
    }
    if (outcome != EnrolOutcome::kEnrolled) return EnrolResult{outcome, {}};
    TRB_RETURN_IF_ERROR(InsertCertificate(certificate));
    TRB_RETURN_IF_ERROR(
        db_.Run("UPDATE invitations SET used_request_sha256 = ?2, used_certificate_sha256 = ?3 WHERE token_id = ?1",
                {token_id, certificate.request_sha256, certificate.sha256}));
    TRB_RETURN_IF_ERROR(SetSubjectState(certificate.role, certificate.subject_id, SubjectState::kActive));
    TRB_RETURN_IF_ERROR(transaction->Commit());
    return EnrolResult{outcome, certificate};
  }

  absl::StatusOr<bool> EnrolmentWanted(int64_t now_unix_ms) override {
    return db_.QueryOne(
        "SELECT 1 FROM invitations WHERE used_certificate_sha256 IS NULL AND expires_unix_ms > ?1 AND voided = 0 "
        "UNION ALL "
        "SELECT 1 FROM certificates c JOIN invitations i ON i.used_certificate_sha256 = c.sha256 "
        "WHERE c.first_used_unix_ms = 0 AND c.not_after_unix_ms > ?1 AND c.state = 'active' AND i.voided = 0 LIMIT 1",
        {now_unix_ms}, [](const Row&) {});
  }

  absl::StatusOr<Known> FindCertificate(const std::string& sha256) override {
    TRB_ASSIGN_OR_RETURN(const auto view, Transaction::Begin(db_, Transaction::Kind::kRead));
    return Find(sha256);
  }

  absl::Status MarkUsed(const std::string& sha256, int64_t now_unix_ms) override {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::BeginOrJoin(db_));
    TRB_ASSIGN_OR_RETURN(const Known known, Find(sha256));
    TRB_RETURN_IF_ERROR(CheckActive(known));
    if (known.certificate.first_used_unix_ms != 0) return absl::OkStatus();
    TRB_RETURN_IF_ERROR(
        db_.Run("UPDATE certificates SET first_used_unix_ms = ?2 WHERE sha256 = ?1", {sha256, now_unix_ms}));
    // Rows are never deleted, so that row ids tell the order in which certificates were issued.
    TRB_RETURN_IF_ERROR(db_.Run(absl::StrCat("UPDATE certificates SET state = 'superseded' WHERE state = 'active' AND ",
                                             NamesOf(known.subject.role).column,
                                             " = ?1 AND rowid < (SELECT rowid FROM certificates WHERE sha256 = ?2)"),
                                {known.subject.id, sha256}));
    return transaction->Commit();
  }

  absl::StatusOr<CertificateRow> Renew(const std::string& old_sha256, const CertificateRow& renewed) override {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::BeginOrJoin(db_));
    TRB_ASSIGN_OR_RETURN(const Known old, Find(old_sha256));
    TRB_RETURN_IF_ERROR(CheckActive(old));
    if (old.subject.role != renewed.role || old.subject.id != renewed.subject_id)
      return absl::FailedPreconditionError("the certificate belongs to another identity");
    CertificateRow existing;
    TRB_ASSIGN_OR_RETURN(
        const bool repeated,
        ReadOneCertificate(absl::StrCat("request_sha256 = ?1 AND ", NamesOf(renewed.role).column, " = ?2"),
                           {renewed.request_sha256, renewed.subject_id}, &existing));
    if (!repeated) TRB_RETURN_IF_ERROR(InsertCertificate(renewed));
    TRB_RETURN_IF_ERROR(transaction->Commit());
    return repeated ? existing : renewed;
  }

  absl::StatusOr<std::string> PutOperator(const Subject& subject, const CertificateRow& certificate) override {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::BeginOrJoin(db_));
    CertificateRow row = certificate;
    const auto existing = ReadSubject(Role::kOperator, "name", subject.name);
    if (existing.ok()) {
      if (existing->state == SubjectState::kRevoked)
        return absl::FailedPreconditionError(absl::StrCat("operator ", subject.name, " is revoked"));
      row.subject_id = existing->id;
      TRB_RETURN_IF_ERROR(SetSubjectState(Role::kOperator, existing->id, SubjectState::kActive));
    } else {
      if (!absl::IsNotFound(existing.status())) return existing.status();
      row.subject_id = subject.id;
      TRB_RETURN_IF_ERROR(
          InsertSubject(Role::kOperator, subject.id, subject.name, SubjectState::kActive, subject.created_unix_ms));
    }
    TRB_RETURN_IF_ERROR(InsertCertificate(row));
    TRB_RETURN_IF_ERROR(AuditOwn(subject.name, row));
    TRB_RETURN_IF_ERROR(transaction->Commit());
    return row.subject_id;
  }

  absl::StatusOr<Subject> GetSubject(Role role, const std::string& name) override {
    TRB_ASSIGN_OR_RETURN(const auto view, Transaction::Begin(db_, Transaction::Kind::kRead));
    return ReadSubject(role, "name", name);
  }

  absl::StatusOr<Subject> GetSubjectById(Role role, const std::string& id) override {
    TRB_ASSIGN_OR_RETURN(const auto view, Transaction::Begin(db_, Transaction::Kind::kRead));
    return ReadSubject(role, "id", id);
  }

  absl::StatusOr<std::vector<Subject>> ListSubjects(Role role) override {
    TRB_ASSIGN_OR_RETURN(const auto view, Transaction::Begin(db_, Transaction::Kind::kRead));
    std::vector<Subject> out;
    TRB_RETURN_IF_ERROR(db_.Query(SubjectSql(role, "ORDER BY name"), {},
                                  [&](const Row& row) { return FillSubject(role, row, &out.emplace_back()); }));
    if (role == Role::kOperator) return out;
    std::map<std::string, std::map<std::string, std::string>> labels;
    TRB_RETURN_IF_ERROR(db_.Query("SELECT client_id, key, value FROM client_labels", {}, [&labels](const Row& row) {
      labels[row.Text(0)][row.Text(1)] = row.Text(2);
      return absl::OkStatus();
    }));
    for (Subject& subject : out) subject.labels = labels[subject.id];
    return out;
  }

  absl::StatusOr<bool> Revoke(Role role, const std::string& id, int64_t now_unix_ms) override {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::BeginOrJoin(db_));
    TRB_RETURN_IF_ERROR(ReadSubject(role, "id", id).status());
    TRB_ASSIGN_OR_RETURN(
        const int64_t changed,
        db_.Change(absl::StrCat("UPDATE ", NamesOf(role).table,
                                " SET state = 'revoked', revoked_unix_ms = ?2 WHERE id = ?1 AND state <> 'revoked'"),
                   {id, now_unix_ms}));
    TRB_RETURN_IF_ERROR(RevokeCertificates(role, id));
    TRB_RETURN_IF_ERROR(VoidInvitations(role, id));
    TRB_RETURN_IF_ERROR(transaction->Commit());
    return changed > 0;
  }

  absl::Status RecordHello(const std::string& client_id, const v1::Hello& hello, int64_t now_unix_ms) override {
    const std::string facts = hello.dataset().SerializeAsString();
    return RequireOne(
        db_.Change("UPDATE clients SET version = ?2, engine = ?3, examples = ?4, dataset_facts = ?5, "
                   "last_seen_unix_ms = max(last_seen_unix_ms, ?6) WHERE id = ?1",
                   {client_id, hello.version(), hello.engine(), hello.dataset().examples(), Bytes{facts}, now_unix_ms}),
        client_id);
  }

  absl::Status RecordSeen(Role role, const std::string& id, int64_t now_unix_ms) override {
    return RequireOne(db_.Change(absl::StrCat("UPDATE ", NamesOf(role).table,
                                              " SET last_seen_unix_ms = max(last_seen_unix_ms, ?2) WHERE id = ?1"),
                                 {id, now_unix_ms}),
                      id);
  }

  absl::Status RecordTrust(Role role, const std::string& id, const std::vector<std::string>& authorities,
                           int64_t now_unix_ms) override {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::BeginOrJoin(db_));
    TRB_RETURN_IF_ERROR(ReadSubject(role, "id", id).status());
    TRB_RETURN_IF_ERROR(ReplaceTrust(db_, {role, id}, authorities, now_unix_ms));
    return transaction->Commit();
  }

  absl::StatusOr<std::vector<identity::Member>> ListMembers() override { return ReadMembers(db_); }

  absl::Status RevokeCertificates(const std::vector<std::string>& sha256s) override {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::BeginOrJoin(db_));
    for (const std::string& sha256 : sha256s)
      TRB_RETURN_IF_ERROR(
          db_.Run("UPDATE certificates SET state = 'revoked' WHERE state = 'active' AND sha256 = ?1", {sha256}));
    return transaction->Commit();
  }

  absl::StatusOr<std::vector<std::string>> InvitedBefore(int64_t unix_ms, int64_t now_unix_ms) override {
    return ReadInvitedBefore(db_, unix_ms, now_unix_ms);
  }

  absl::Status VoidInvitedBefore(int64_t unix_ms) override {
    TRB_ASSIGN_OR_RETURN(const auto transaction, Transaction::BeginOrJoin(db_));
    TRB_RETURN_IF_ERROR(
        db_.Run("UPDATE invitations SET voided = 1 WHERE created_unix_ms < ?1 AND voided = 0", {unix_ms}));
    return transaction->Commit();
  }

 private:
  static absl::Status RequireOne(const absl::StatusOr<int64_t>& changed, const std::string& id) {
    if (!changed.ok()) return changed.status();
    return *changed == 1 ? absl::OkStatus() : absl::NotFoundError(absl::StrCat("no identity ", id));
  }

  static absl::Status CheckActive(const Known& known) {
    if (known.certificate.state != CertificateState::kActive)
      return absl::FailedPreconditionError("the certificate is no longer active");
    if (known.subject.state != SubjectState::kActive)
      return absl::FailedPreconditionError("the identity is no longer active");
    return absl::OkStatus();
  }

  // The certificate that the coordinator gives to the operator of its own host.
  absl::Status AuditOwn(const std::string& name, const CertificateRow& certificate) {
    v1::AuditEntry entry;
    entry.set_time_unix_ms(certificate.issued_unix_ms);
    entry.set_actor("coordinator");
    entry.set_action("operator.certificate");
    entry.set_subject(name);
    entry.set_outcome("ok");
    return AppendAudit(db_, entry);
  }

  // The subject of an invitation: new, invited again, or brought back.
  absl::StatusOr<InviteResult> PrepareSubject(const NewInvitation& invitation) {
    const InvitationRow& row = invitation.invitation;
    const auto existing = ReadSubject(row.role, "name", row.name);
    if (absl::IsNotFound(existing.status())) {
      TRB_RETURN_IF_ERROR(
          InsertSubject(row.role, row.subject_id, row.name, SubjectState::kInvited, row.created_unix_ms));
      TRB_RETURN_IF_ERROR(PutLabels(row.subject_id, invitation.labels));
      return InviteResult{row.subject_id, false};
    }
    TRB_RETURN_IF_ERROR(existing.status());
    if (existing->state != SubjectState::kInvited && !invitation.replace) return identity::NameTaken(*existing);
    TRB_RETURN_IF_ERROR(RevokeCertificates(row.role, existing->id));
    TRB_RETURN_IF_ERROR(SetSubjectState(row.role, existing->id, SubjectState::kInvited));
    if (!invitation.labels.empty() || !invitation.replace)
      TRB_RETURN_IF_ERROR(PutLabels(existing->id, invitation.labels));
    return InviteResult{existing->id, existing->state == SubjectState::kActive};
  }

  absl::Status InsertSubject(Role role, const std::string& id, const std::string& name, SubjectState state,
                             int64_t created_unix_ms) {
    return db_.Run(absl::StrCat("INSERT INTO ", NamesOf(role).table,
                                " (id, name, state, created_unix_ms) VALUES (?1, ?2, ?3, ?4)"),
                   {id, name, SubjectStateName(state), created_unix_ms});
  }

  absl::Status SetSubjectState(Role role, const std::string& id, SubjectState state) {
    return db_.Run(absl::StrCat("UPDATE ", NamesOf(role).table, " SET state = ?2, revoked_unix_ms = 0 WHERE id = ?1"),
                   {id, SubjectStateName(state)});
  }

  // Operators are invited without labels; for them there is nothing to write.
  absl::Status PutLabels(const std::string& client_id, const std::map<std::string, std::string>& labels) {
    TRB_RETURN_IF_ERROR(db_.Run("DELETE FROM client_labels WHERE client_id = ?1", {client_id}));
    for (const auto& [key, value] : labels)
      TRB_RETURN_IF_ERROR(
          db_.Run("INSERT INTO client_labels (client_id, key, value) VALUES (?1, ?2, ?3)", {client_id, key, value}));
    return absl::OkStatus();
  }

  absl::Status RevokeCertificates(Role role, const std::string& id) {
    return db_.Run(absl::StrCat("UPDATE certificates SET state = 'revoked' WHERE state = 'active' AND ",
                                NamesOf(role).column, " = ?1"),
                   {id});
  }

  absl::Status VoidInvitations(Role role, const std::string& id) {
    return db_.Run(absl::StrCat("UPDATE invitations SET voided = 1 WHERE ", NamesOf(role).column, " = ?1"), {id});
  }

  absl::Status InsertCertificate(const CertificateRow& row) {
    return db_.Run(
        absl::StrCat("INSERT INTO certificates (", kCertificateColumns,
                     ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"),
        {row.sha256, row.serial, IdFor(row.role, row.subject_id, Role::kClient),
         IdFor(row.role, row.subject_id, Role::kOperator), row.pem, row.request_sha256, row.not_before_unix_ms,
         row.not_after_unix_ms, row.issued_unix_ms, row.first_used_unix_ms, CertificateStateName(row.state)});
  }

  absl::StatusOr<bool> ReadOneCertificate(const std::string& condition, const Args& args, CertificateRow* out) {
    absl::Status read;
    TRB_ASSIGN_OR_RETURN(const bool found,
                         db_.QueryOne(absl::StrCat("SELECT ", kCertificateColumns, " FROM certificates WHERE ",
                                                   condition, " ORDER BY rowid DESC LIMIT 1"),
                                      args, [&](const Row& row) { read = FillCertificate(row, out); }));
    TRB_RETURN_IF_ERROR(read);
    return found;
  }

  absl::StatusOr<Known> Find(const std::string& sha256) {
    Known out;
    TRB_ASSIGN_OR_RETURN(const bool found, ReadOneCertificate("sha256 = ?1", {sha256}, &out.certificate));
    if (!found) return absl::NotFoundError("no such certificate");
    TRB_ASSIGN_OR_RETURN(out.subject, ReadSubject(out.certificate.role, "id", out.certificate.subject_id));
    return out;
  }

  // `column` is "id" or "name".
  absl::StatusOr<Subject> ReadSubject(Role role, const std::string& column, const std::string& value) {
    Subject out;
    absl::Status read;
    TRB_ASSIGN_OR_RETURN(const bool found,
                         db_.QueryOne(SubjectSql(role, absl::StrCat("WHERE s.", column, " = ?1")), {value},
                                      [&](const Row& row) { read = FillSubject(role, row, &out); }));
    TRB_RETURN_IF_ERROR(read);
    if (!found) return identity::NoSuchSubject(role, value);
    if (role == Role::kOperator) return out;
    TRB_RETURN_IF_ERROR(
        db_.Query("SELECT key, value FROM client_labels WHERE client_id = ?1", {out.id}, [&out](const Row& row) {
          out.labels[row.Text(0)] = row.Text(1);
          return absl::OkStatus();
        }));
    return out;
  }

  Database& db_;
};

}  // namespace

std::unique_ptr<identity::IdentityStore> MakeIdentityLedger(Database& database) {
  return std::make_unique<IdentityLedger>(database);
}

}  // namespace tributary::ledger
