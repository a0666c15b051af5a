#include "tests/server/identity/fake_identity_store.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "common/base/mutex.h"

namespace tributary::testing {
namespace {

using namespace tributary::identity;  // NOLINT: a fake of exactly this

class FakeIdentityStore final : public IdentityStore {
 public:
  absl::Status Together(const std::function<absl::Status()>& work) override { return work(); }

  absl::StatusOr<InviteResult> AddInvitation(const NewInvitation& invitation) override {
    const MutexLock lock(&mu_);
    InvitationRow row = invitation.invitation;
    Subject* subject = FindByName(row.role, row.name);
    InviteResult result;
    if (subject == nullptr) {
      subject = &subjects_.emplace_back();
      subject->role = row.role;
      subject->id = row.subject_id;
      subject->name = row.name;
      subject->created_unix_ms = row.created_unix_ms;
      subject->labels = invitation.labels;
    } else {
      if (subject->state != SubjectState::kInvited && !invitation.replace) return NameTaken(*subject);
      result.ended_sessions = subject->state == SubjectState::kActive;
      End(*subject, SubjectState::kInvited);
      if (!invitation.labels.empty() || !invitation.replace) subject->labels = invitation.labels;
    }
    VoidInvitations(*subject);
    row.subject_id = result.subject_id = subject->id;
    invitations_[row.token_id] = row;
    return result;
  }

  absl::StatusOr<InvitationRow> GetInvitation(const std::string& token_id) override {
    const MutexLock lock(&mu_);
    const auto it = invitations_.find(token_id);
    if (it == invitations_.end()) return absl::NotFoundError("no such invitation");
    return it->second;
  }

  absl::StatusOr<EnrolResult> Enrol(const std::string& token_id, const CertificateRow& certificate) override {
    const MutexLock lock(&mu_);
    const auto it = invitations_.find(token_id);
    if (it == invitations_.end()) return EnrolResult{EnrolOutcome::kUnknown, {}};
    const EnrolOutcome outcome = JudgeInvitation(it->second, certificate.request_sha256, certificate.issued_unix_ms);
    if (outcome == EnrolOutcome::kRepeated) return EnrolResult{outcome, *FindRow(it->second.used_certificate_sha256)};
    if (outcome != EnrolOutcome::kEnrolled) return EnrolResult{outcome, {}};
    certificates_.push_back(certificate);
    it->second.used_request_sha256 = certificate.request_sha256;
    it->second.used_certificate_sha256 = certificate.sha256;
    FindById(certificate.role, certificate.subject_id)->state = SubjectState::kActive;
    return EnrolResult{outcome, certificate};
  }

  absl::StatusOr<bool> EnrolmentWanted(int64_t now_unix_ms) override {
    const MutexLock lock(&mu_);
    return std::any_of(invitations_.begin(), invitations_.end(), [&](const auto& entry) TRB_REQUIRES(mu_) {
      const InvitationRow& row = entry.second;
      if (row.voided) return false;
      if (row.used_certificate_sha256.empty()) return row.expires_unix_ms > now_unix_ms;
      const CertificateRow* certificate = FindRow(row.used_certificate_sha256);
      return certificate->state == CertificateState::kActive && certificate->first_used_unix_ms == 0 &&
             certificate->not_after_unix_ms > now_unix_ms;
    });
  }

  absl::StatusOr<Known> FindCertificate(const std::string& sha256) override {
    const MutexLock lock(&mu_);
    const CertificateRow* row = FindRow(sha256);
    if (row == nullptr) return absl::NotFoundError("no such certificate");
    return Known{*row, WithExpiry(*FindById(row->role, row->subject_id))};
  }

  absl::Status MarkUsed(const std::string& sha256, int64_t now_unix_ms) override {
    const MutexLock lock(&mu_);
    CertificateRow* row = FindRow(sha256);
    if (row == nullptr) return absl::NotFoundError("no such certificate");
    TRB_RETURN_IF_ERROR(CheckActive(*row));
    if (row->first_used_unix_ms != 0) return absl::OkStatus();
    row->first_used_unix_ms = now_unix_ms;
    for (CertificateRow& older : certificates_) {
      if (&older == row) break;
      if (older.role == row->role && older.subject_id == row->subject_id && older.state == CertificateState::kActive)
        older.state = CertificateState::kSuperseded;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<CertificateRow> Renew(const std::string& old_sha256, const CertificateRow& renewed) override {
    const MutexLock lock(&mu_);
    const CertificateRow* old = FindRow(old_sha256);
    if (old == nullptr) return absl::NotFoundError("no such certificate");
    TRB_RETURN_IF_ERROR(CheckActive(*old));
    if (old->role != renewed.role || old->subject_id != renewed.subject_id)
      return absl::FailedPreconditionError("the certificate belongs to another identity");
    for (const CertificateRow& row : certificates_)
      if (row.request_sha256 == renewed.request_sha256 && row.role == renewed.role &&
          row.subject_id == renewed.subject_id)
        return row;
    certificates_.push_back(renewed);
    return renewed;
  }

  absl::StatusOr<std::string> PutOperator(const Subject& subject, const CertificateRow& certificate) override {
    const MutexLock lock(&mu_);
    Subject* existing = FindByName(Role::kOperator, subject.name);
    if (existing != nullptr && existing->state == SubjectState::kRevoked)
      return absl::FailedPreconditionError("the operator is revoked");
    if (existing == nullptr) existing = &subjects_.emplace_back(subject);
    existing->state = SubjectState::kActive;
    certificates_.push_back(certificate);
    certificates_.back().subject_id = existing->id;
    return existing->id;
  }

  absl::StatusOr<Subject> GetSubject(Role role, const std::string& name) override {
    const MutexLock lock(&mu_);
    const Subject* subject = FindByName(role, name);
    if (subject == nullptr) return NoSuchSubject(role, name);
    return WithExpiry(*subject);
  }

  absl::StatusOr<Subject> GetSubjectById(Role role, const std::string& id) override {
    const MutexLock lock(&mu_);
    const Subject* subject = FindById(role, id);
    if (subject == nullptr) return NoSuchSubject(role, id);
    return WithExpiry(*subject);
  }

  absl::StatusOr<std::vector<Subject>> ListSubjects(Role role) override {
    const MutexLock lock(&mu_);
    std::vector<Subject> out;
    for (const Subject& subject : subjects_)
      if (subject.role == role) out.push_back(WithExpiry(subject));
    std::sort(out.begin(), out.end(), [](const Subject& a, const Subject& b) { return a.name < b.name; });
    return out;
  }

  absl::StatusOr<bool> Revoke(Role role, const std::string& id, int64_t) override {
    const MutexLock lock(&mu_);
    Subject* subject = FindById(role, id);
    if (subject == nullptr) return NoSuchSubject(role, id);
    const bool changed = subject->state != SubjectState::kRevoked;
    End(*subject, SubjectState::kRevoked);
    VoidInvitations(*subject);
    return changed;
  }

  absl::Status RecordHello(const std::string& client_id, const v1::Hello& hello, int64_t now_unix_ms) override {
    const MutexLock lock(&mu_);
    Subject* subject = FindById(Role::kClient, client_id);
    if (subject == nullptr) return NoSuchSubject(Role::kClient, client_id);
    subject->version = hello.version();
    subject->engine = hello.engine();
    subject->dataset = hello.dataset();
    subject->last_seen_unix_ms = std::max(subject->last_seen_unix_ms, now_unix_ms);
    return absl::OkStatus();
  }

  absl::Status RecordSeen(Role role, const std::string& id, int64_t now_unix_ms) override {
    const MutexLock lock(&mu_);
    Subject* subject = FindById(role, id);
    if (subject == nullptr) return NoSuchSubject(role, id);
    subject->last_seen_unix_ms = std::max(subject->last_seen_unix_ms, now_unix_ms);
    return absl::OkStatus();
  }

  absl::Status RecordTrust(Role role, const std::string& id, const std::vector<std::string>& authorities,
                           int64_t) override {
    const MutexLock lock(&mu_);
    if (FindById(role, id) == nullptr) return NoSuchSubject(role, id);
    trusts_[{role, id}] = std::set<std::string>(authorities.begin(), authorities.end());
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<Member>> ListMembers() override {
    std::vector<Member> out;
    for (const Role role : {Role::kClient, Role::kOperator}) {
      TRB_ASSIGN_OR_RETURN(const std::vector<Subject> subjects, ListSubjects(role));
      const MutexLock lock(&mu_);
      for (const Subject& subject : subjects) {
        if (subject.state != SubjectState::kActive) continue;
        const std::set<std::string>& trusts = trusts_[{role, subject.id}];
        Member member{role, subject.id, subject.name, {trusts.begin(), trusts.end()}, {}};
        for (const CertificateRow& row : certificates_)
          if (row.role == role && row.subject_id == subject.id && row.state == CertificateState::kActive)
            member.certificate_pems.push_back(row.pem);
        out.push_back(std::move(member));
      }
    }
    return out;
  }

  absl::Status RevokeCertificates(const std::vector<std::string>& sha256s) override {
    const MutexLock lock(&mu_);
    for (const std::string& sha256 : sha256s) {
      CertificateRow* row = FindRow(sha256);
      if (row != nullptr && row->state == CertificateState::kActive) row->state = CertificateState::kRevoked;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> InvitedBefore(int64_t unix_ms, int64_t now_unix_ms) override {
    const MutexLock lock(&mu_);
    std::vector<std::string> names;
    for (const auto& [token, row] : invitations_)
      if (!row.voided && row.used_certificate_sha256.empty() && row.created_unix_ms < unix_ms &&
          row.expires_unix_ms > now_unix_ms)
        names.push_back(row.name);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::Status VoidInvitedBefore(int64_t unix_ms) override {
    const MutexLock lock(&mu_);
    for (auto& [token, row] : invitations_)
      if (row.created_unix_ms < unix_ms) row.voided = true;
    return absl::OkStatus();
  }

 private:
  template <class Match>
  Subject* FindSubject(const Match& match) TRB_REQUIRES(mu_) {
    const auto it = std::find_if(subjects_.begin(), subjects_.end(), match);
    return it == subjects_.end() ? nullptr : &*it;
  }
  Subject* FindByName(Role role, const std::string& name) TRB_REQUIRES(mu_) {
    return FindSubject([&](const Subject& subject) { return subject.role == role && subject.name == name; });
  }
  Subject* FindById(Role role, const std::string& id) TRB_REQUIRES(mu_) {
    return FindSubject([&](const Subject& subject) { return subject.role == role && subject.id == id; });
  }
  CertificateRow* FindRow(const std::string& sha256) TRB_REQUIRES(mu_) {
    const auto it = std::find_if(certificates_.begin(), certificates_.end(),
                                 [&](const CertificateRow& row) { return row.sha256 == sha256; });
    return it == certificates_.end() ? nullptr : &*it;
  }

  Subject WithExpiry(const Subject& subject) TRB_REQUIRES(mu_) {
    Subject out = subject;
    for (const CertificateRow& row : certificates_)
      if (row.role == subject.role && row.subject_id == subject.id && row.state == CertificateState::kActive)
        out.certificate_not_after_unix_ms = std::max(out.certificate_not_after_unix_ms, row.not_after_unix_ms);
    return out;
  }

  absl::Status CheckActive(const CertificateRow& row) TRB_REQUIRES(mu_) {
    const bool active =
        row.state == CertificateState::kActive && FindById(row.role, row.subject_id)->state == SubjectState::kActive;
    return active ? absl::OkStatus() : absl::FailedPreconditionError("no longer active");
  }

  void End(Subject& subject, SubjectState state) TRB_REQUIRES(mu_) {
    subject.state = state;
    for (CertificateRow& row : certificates_)
      if (row.role == subject.role && row.subject_id == subject.id && row.state == CertificateState::kActive)
        row.state = CertificateState::kRevoked;
  }

  void VoidInvitations(const Subject& subject) TRB_REQUIRES(mu_) {
    for (auto& [token, row] : invitations_)
      if (row.role == subject.role && row.subject_id == subject.id) row.voided = true;
  }

  Mutex mu_;
  std::vector<Subject> subjects_ TRB_GUARDED_BY(mu_);
  std::vector<CertificateRow> certificates_ TRB_GUARDED_BY(mu_);
  std::map<std::string, InvitationRow> invitations_ TRB_GUARDED_BY(mu_);
  std::map<std::pair<Role, std::string>, std::set<std::string>> trusts_ TRB_GUARDED_BY(mu_);
};

}  // namespace

std::unique_ptr<IdentityStore> MakeFakeIdentityStore() { return std::make_unique<FakeIdentityStore>(); }

}  // namespace tributary::testing
