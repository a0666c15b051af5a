#include "server/identity/ca.h"

#include <arpa/inet.h>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"

namespace tributary::identity {
namespace {

constexpr size_t kSerialBytes = 16;

std::string AuthorityDirectory(const std::string& directory) { return directory + "/pki/ca"; }
std::string ReceiptDirectory(const std::string& directory) { return directory + "/pki/receipt"; }

bool IsAddress(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

absl::StatusOr<crypto::Issuer> LoadIssuer(const std::string& key_path, const std::string& certificate_path) {
  TRB_ASSIGN_OR_RETURN(crypto::PrivateKey key, crypto::PrivateKey::Load(key_path));
  TRB_ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::Load(certificate_path));
  if (!certificate.Certifies(key))
    return absl::InvalidArgumentError(absl::StrCat(certificate_path, " is not the certificate of ", key_path));
  return crypto::Issuer{std::move(certificate), std::move(key)};
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

absl::StatusOr<std::unique_ptr<CertificateAuthority>> CertificateAuthority::Create(const std::string& directory,
                                                                                   const std::string& federation,
                                                                                   const Clock& clock,
                                                                                   crypto::SecureRandom& random) {
  const std::string root = AuthorityDirectory(directory);
  TRB_RETURN_IF_ERROR(MakeDirectories(root, 0700));
  TRB_ASSIGN_OR_RETURN(crypto::PrivateKey key, crypto::PrivateKey::Generate());
  crypto::CertificateTerms terms;
  terms.use = crypto::CertificateUse::kAuthority;
  terms.common_name = absl::StrCat("Tributary federation ", federation);
  terms.serial = random.Bytes(kSerialBytes);
  terms.not_before = clock.Now() - kClockSkew;
  terms.not_after = clock.Now() + kAuthorityLife;
  terms.uris = {absl::StrCat("spiffe://", federation)};
  TRB_ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::SelfSign(key, terms));
  TRB_RETURN_IF_ERROR(key.Store(root + "/ca.key"));
  TRB_RETURN_IF_ERROR(WriteFileDurably(root + "/ca.crt", certificate.pem()));
  return std::unique_ptr<CertificateAuthority>(
      new CertificateAuthority({std::move(certificate), std::move(key)}, federation, clock, random));
}

absl::StatusOr<std::unique_ptr<CertificateAuthority>> CertificateAuthority::Load(const std::string& directory,
                                                                                 const std::string& federation,
                                                                                 const Clock& clock,
                                                                                 crypto::SecureRandom& random) {
  const std::string root = AuthorityDirectory(directory);
  TRB_ASSIGN_OR_RETURN(crypto::Issuer issuer, LoadIssuer(root + "/ca.key", root + "/ca.crt"));
  return std::unique_ptr<CertificateAuthority>(new CertificateAuthority(std::move(issuer), federation, clock, random));
}

absl::StatusOr<crypto::Certificate> CertificateAuthority::IssueFor(const crypto::PublicKey& key,
                                                                   crypto::CertificateTerms terms,
                                                                   absl::Duration life) const {
  const absl::Time now = clock_.Now();
  terms.serial = random_.Bytes(kSerialBytes);
  terms.not_before = now - kClockSkew;
  terms.not_after = now + life;
  return crypto::Issue(issuer_, key, terms);
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
  return IssueFor(key, std::move(terms), issuer_.certificate.not_after() - clock_.Now());
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
