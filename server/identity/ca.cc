#include "server/identity/ca.h"

#include <arpa/inet.h>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"

namespace tributary::identity {
namespace {

constexpr size_t kSerialBytes = 16;

std::string ReceiptDirectory(const std::string& directory) { return directory + "/pki/receipt"; }

bool IsAddress(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

}  // namespace

crypto::CredentialDirectory ServerCredentialDirectory(const std::string& directory) {
  return crypto::CredentialDirectory(directory + "/pki/server");
}

crypto::CredentialDirectory EnrolCredentialDirectory(const std::string& directory) {
  return crypto::CredentialDirectory(directory + "/pki/enrol");
}

crypto::CredentialDirectory OperatorCredentialDirectory(const std::string& directory) {
  return crypto::CredentialDirectory(directory + "/pki/operator");
}

absl::StatusOr<crypto::Issuer> LoadReceiptSigner(const std::string& directory) {
  const std::string root = ReceiptDirectory(directory);
  return LoadIssuer(root + "/receipt.key", root + "/receipt.crt");
}

absl::Status MakeReceiptSigner(const std::string& directory, const CertificateAuthority& authority) {
  const std::string root = ReceiptDirectory(directory);
  TRB_RETURN_IF_ERROR(MakeDirectories(root, 0700));
  TRB_ASSIGN_OR_RETURN(const crypto::PrivateKey key, crypto::PrivateKey::Generate());
  TRB_ASSIGN_OR_RETURN(const crypto::Certificate certificate, authority.IssueReceipt(key.public_key()));
  TRB_RETURN_IF_ERROR(key.Store(root + "/receipt.key"));
  return WriteFileDurably(root + "/receipt.crt", certificate.pem());
}

absl::Status RenewReceiptCertificate(const std::string& directory, const CertificateAuthority& authority) {
  TRB_ASSIGN_OR_RETURN(const crypto::Issuer signer, LoadReceiptSigner(directory));
  if (signer.certificate.IssuedBy(authority.certificate())) return absl::OkStatus();
  TRB_ASSIGN_OR_RETURN(const crypto::Certificate certificate, authority.IssueReceipt(signer.key.public_key()));
  return WriteFileDurably(ReceiptDirectory(directory) + "/receipt.crt", certificate.pem());
}

absl::StatusOr<std::unique_ptr<CertificateAuthority>> CertificateAuthority::Create(const std::string& directory,
                                                                                   const std::string& federation,
                                                                                   const Clock& clock,
                                                                                   crypto::SecureRandom& random) {
  TRB_RETURN_IF_ERROR(MakeFirstAuthority(directory, federation, clock, random));
  return Load(directory, federation, clock, random);
}

absl::StatusOr<std::unique_ptr<CertificateAuthority>> CertificateAuthority::Load(const std::string& directory,
                                                                                 const std::string& federation,
                                                                                 const Clock& clock,
                                                                                 crypto::SecureRandom& random) {
  TRB_ASSIGN_OR_RETURN(AuthoritySet set, LoadAuthorities(directory));
  std::unique_ptr<CertificateAuthority> out(new CertificateAuthority(federation, clock, random));
  out->Use(std::move(set));
  return out;
}

void CertificateAuthority::Use(AuthoritySet set) {
  auto fresh = std::make_shared<const AuthoritySet>(std::move(set));
  const MutexLock lock(&mu_);
  set_ = std::move(fresh);
}

std::shared_ptr<const AuthoritySet> CertificateAuthority::set() const {
  const MutexLock lock(&mu_);
  return set_;
}

absl::StatusOr<crypto::Certificate> CertificateAuthority::IssueFor(const crypto::PublicKey& key,
                                                                   crypto::CertificateTerms terms,
                                                                   absl::Duration life) const {
  const absl::Time now = clock_.Now();
  terms.serial = random_.Bytes(kSerialBytes);
  terms.not_before = now - kClockSkew;
  const std::shared_ptr<const AuthoritySet> by = set();
  terms.not_after = life == absl::InfiniteDuration() ? by->issuer.certificate.not_after() : now + life;
  return crypto::Issue(by->issuer, key, terms);
}

absl::StatusOr<crypto::Certificate> CertificateAuthority::IssuePeer(const crypto::PublicKey& key, Role role,
                                                                    const std::string& id,
                                                                    const std::string& name) const {
  crypto::CertificateTerms terms;
  terms.use = crypto::CertificateUse::kPeer;
  terms.common_name = name;
  terms.uris = {absl::StrCat("spiffe://", federation_, "/", std::string(RoleName(role)), "/", id)};
  return IssueFor(key, std::move(terms), kPeerLife);
}

absl::StatusOr<crypto::Certificate> CertificateAuthority::IssueServer(const crypto::PublicKey& key,
                                                                      const Federation& federation,
                                                                      rpc::Listener listener) const {
  const bool main = listener == rpc::Listener::kMain;
  crypto::CertificateTerms terms;
  terms.use = crypto::CertificateUse::kServer;
  terms.common_name = main ? "Tributary coordinator" : "Tributary enrolment";
  terms.uris = {absl::StrCat("spiffe://", federation_, main ? "/coordinator" : "/enrol")};
  for (const auto& name : ServerNames(federation))
    (IsAddress(name) ? terms.ip_addresses : terms.dns_names).push_back(name);
  return IssueFor(key, std::move(terms), kServerLife);
}

absl::StatusOr<crypto::Certificate> CertificateAuthority::IssueReceipt(const crypto::PublicKey& key) const {
  crypto::CertificateTerms terms;
  terms.use = crypto::CertificateUse::kReceipt;
  terms.common_name = "Tributary receipts";
  terms.uris = {absl::StrCat("spiffe://", federation_, "/receipts")};
  // It ends with its CA: what it signed is checked for as long as the CA is believed.
  return IssueFor(key, std::move(terms), absl::InfiniteDuration());
}

CertificateRow ToRow(const crypto::Certificate& certificate, Role role, const std::string& subject_id,
                     const std::string& request_sha256, int64_t issued_unix_ms) {
  CertificateRow row;
  row.sha256 = certificate.sha256();
  row.serial = certificate.serial();
  row.role = role;
  row.subject_id = subject_id;
  row.pem = certificate.pem();
  row.request_sha256 = request_sha256;
  row.not_before_unix_ms = absl::ToUnixMillis(certificate.not_before());
  row.not_after_unix_ms = absl::ToUnixMillis(certificate.not_after());
  row.issued_unix_ms = issued_unix_ms;
  return row;
}

}  // namespace tributary::identity
