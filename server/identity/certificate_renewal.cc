#include "server/identity/certificate_renewal.h"

#include <algorithm>

#include "common/base/logging.h"

namespace tributary::identity {
namespace {

// Whether the installed credential has to be replaced now. Other errors than "not there" and "not usable" are passed
// on: a key that others can read is for a person to look at.
absl::StatusOr<bool> NeedsRenewal(const crypto::CredentialDirectory& directory, const crypto::Certificate& authority,
                                  absl::Time now) {
  const auto credential = directory.Load();
  if (absl::IsNotFound(credential.status()) || absl::IsInvalidArgument(credential.status())) return true;
  TRB_RETURN_IF_ERROR(credential.status());
  if (!credential->certificate.IssuedBy(authority)) return true;
  // Not valid yet: it was issued while the clock was ahead.
  return now >= crypto::RenewalDue(credential->certificate) || now < credential->certificate.not_before();
}

// What a credential that stays should have beside it by now.
absl::Status KeepUp(crypto::CredentialDirectory* directory, const crypto::TrustList& trust,
                    const std::vector<crypto::Certificate>& chain) {
  TRB_ASSIGN_OR_RETURN(crypto::Credential credential, directory->Load());
  const bool same_chain = std::equal(credential.chain.begin(), credential.chain.end(), chain.begin(), chain.end(),
                                     [](const auto& a, const auto& b) { return a.sha256() == b.sha256(); });
  if (credential.trust == trust && same_chain) return absl::OkStatus();
  credential.trust = trust;
  credential.chain = chain;
  return directory->Install(credential);
}

}  // namespace

CertificateRenewal::CertificateRenewal(std::string directory, Federation federation,
                                       const CertificateAuthority& authority, IdentityStore& store, const Clock& clock)
    : directory_(std::move(directory)),
      federation_(std::move(federation)),
      authority_(authority),
      store_(store),
      clock_(clock) {}

absl::Status CertificateRenewal::Tick() {
  const absl::Status server = RenewServer(rpc::Listener::kMain);
  const absl::Status enrolment = RenewServer(rpc::Listener::kEnrolment);
  const absl::Status local = RenewOperator();
  TRB_RETURN_IF_ERROR(Annotate(server, "renew the server's certificate"));
  TRB_RETURN_IF_ERROR(Annotate(enrolment, "renew the enrolment port's certificate"));
  return Annotate(local, "renew the local operator's certificate");
}

absl::Status CertificateRenewal::RenewServer(rpc::Listener listener) {
  const bool main = listener == rpc::Listener::kMain;
  crypto::CredentialDirectory directory =
      main ? ServerCredentialDirectory(directory_) : EnrolCredentialDirectory(directory_);
  const std::shared_ptr<const AuthoritySet> set = authority_.set();
  TRB_ASSIGN_OR_RETURN(const bool due, NeedsRenewal(directory, set->issuer.certificate, clock_.Now()));
  if (!due) return KeepUp(&directory, set->Trust(), set->Chain());
  TRB_ASSIGN_OR_RETURN(const crypto::PrivateKey key, crypto::PrivateKey::Generate());
  TRB_ASSIGN_OR_RETURN(const crypto::Certificate certificate,
                       authority_.IssueServer(key.public_key(), federation_, listener));
  TRB_RETURN_IF_ERROR(directory.Install({key, certificate, set->Trust(), set->Chain()}));
  Log(LogLevel::kInfo, "certificate_issued", {{"role", main ? "server" : "enrol"}, {"sha256", certificate.sha256()}});
  return absl::OkStatus();
}

absl::Status CertificateRenewal::RenewOperator() {
  crypto::CredentialDirectory directory = OperatorCredentialDirectory(directory_);
  const std::shared_ptr<const AuthoritySet> set = authority_.set();
  TRB_ASSIGN_OR_RETURN(const bool due, NeedsRenewal(directory, set->issuer.certificate, clock_.Now()));
  if (!due) return KeepUp(&directory, set->Trust(), {});
  TRB_ASSIGN_OR_RETURN(Subject subject, store_.GetSubject(Role::kOperator, kLocalOperator));
  if (subject.state != SubjectState::kActive) return absl::OkStatus();
  TRB_ASSIGN_OR_RETURN(const crypto::PrivateKey key, crypto::PrivateKey::Generate());
  TRB_ASSIGN_OR_RETURN(const crypto::Certificate certificate,
                       authority_.IssuePeer(key.public_key(), Role::kOperator, subject.id, subject.name));
  // The store first: a certificate that is installed must be known.
  const CertificateRow row = ToRow(certificate, Role::kOperator, subject.id, "", clock_.NowUnixMillis());
  TRB_RETURN_IF_ERROR(store_.PutOperator(subject, row).status());
  TRB_RETURN_IF_ERROR(directory.Install({key, certificate, set->Trust(), {}}));
  Log(LogLevel::kInfo, "certificate_issued", {{"role", "operator"}, {"sha256", certificate.sha256()}});
  return absl::OkStatus();
}

}  // namespace tributary::identity
