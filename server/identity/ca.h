// The federation's certificate authority and the files that `init` makes:
//
//   DIR/pki/ca/{ca.key (0600), ca.crt}     10 years; ca.key signs every certificate of the federation. How another
//                                          takes over, and what lies beside it then: authority_files.h
//   DIR/pki/server/                        CredentialDirectory: what the main port shows; 90 days, renewed
//   DIR/pki/enrol/                         CredentialDirectory: what the enrolment port shows; 90 days, renewed. Its
//                                          process (enrolment_front.h) needs nothing else of these
//   DIR/pki/receipt/{receipt.key (0600), receipt.crt}   signs receipts and records; 10 years, the key is not renewed:
//                                          histories are checked against it. A new authority certifies the same key
//                                          again, for the runs that begin under it
//   DIR/pki/operator/                      CredentialDirectory of the operator "local"; 30 days, renewed
//
// Whoever can read DIR/pki owns the federation.
// Threads: safe from any thread. The clock and randomness are borrowed and must outlive it.
#ifndef TRIBUTARY_SERVER_IDENTITY_CA_H_
#define TRIBUTARY_SERVER_IDENTITY_CA_H_

#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/crypto/certificate_issuer.h"
#include "common/crypto/credential_directory.h"
#include "common/crypto/key.h"
#include "common/crypto/secure_random.h"
#include "common/rpc/listener.h"
#include "server/identity/authority_files.h"
#include "server/identity/federation.h"
#include "server/identity/identity_store.h"

namespace tributary::identity {

inline constexpr absl::Duration kAuthorityLife = absl::Hours(24 * 3653);
inline constexpr absl::Duration kServerLife = absl::Hours(24 * 90);
inline constexpr absl::Duration kPeerLife = absl::Hours(24 * 30);
// Certificates are good from a little before they are made: the clocks of a federation differ.
inline constexpr absl::Duration kClockSkew = absl::Minutes(5);
// Name of the operator that `init` makes.
inline constexpr char kLocalOperator[] = "local";

crypto::CredentialDirectory ServerCredentialDirectory(const std::string& directory);
crypto::CredentialDirectory EnrolCredentialDirectory(const std::string& directory);
crypto::CredentialDirectory OperatorCredentialDirectory(const std::string& directory);

// Key and certificate that sign receipts and records. Errors as PrivateKey::Load.
absl::StatusOr<crypto::Issuer> LoadReceiptSigner(const std::string& directory);

class CertificateAuthority {
 public:
  // Makes DIR/pki/ca; replaces what an interrupted init left there.
  static absl::StatusOr<std::unique_ptr<CertificateAuthority>> Create(const std::string& directory,
                                                                      const std::string& federation, const Clock& clock,
                                                                      crypto::SecureRandom& random);
  // PERMISSION_DENIED when ca.key is readable by others; NOT_FOUND; INVALID_ARGUMENT when key and certificate differ.
  static absl::StatusOr<std::unique_ptr<CertificateAuthority>> Load(const std::string& directory,
                                                                    const std::string& federation, const Clock& clock,
                                                                    crypto::SecureRandom& random);

  // From here on the active one of these issues (what LoadAuthorities found when it looked again).
  void Use(AuthoritySet set) TRB_EXCLUDES(mu_);

  std::shared_ptr<const AuthoritySet> set() const TRB_EXCLUDES(mu_);
  crypto::Certificate certificate() const { return set()->issuer.certificate; }  // of the active one

  // 30 days, URI spiffe://<federation>/<role>/<id>.
  absl::StatusOr<crypto::Certificate> IssuePeer(const crypto::PublicKey& key, Role role, const std::string& id,
                                                const std::string& name) const;
  // 90 days, all ServerNames and the URI spiffe://<federation>/coordinator for the main port, .../enrol for the other.
  absl::StatusOr<crypto::Certificate> IssueServer(const crypto::PublicKey& key, const Federation& federation,
                                                  rpc::Listener listener) const;
  absl::StatusOr<crypto::Certificate> IssueReceipt(const crypto::PublicKey& key) const;

 private:
  CertificateAuthority(std::string federation, const Clock& clock, crypto::SecureRandom& random)
      : federation_(std::move(federation)), clock_(clock), random_(random) {}
  // Ends with its authority when `life` is endless.
  absl::StatusOr<crypto::Certificate> IssueFor(const crypto::PublicKey& key, crypto::CertificateTerms terms,
                                               absl::Duration life) const;

  const std::string federation_;
  const Clock& clock_;
  crypto::SecureRandom& random_;
  mutable Mutex mu_;
  std::shared_ptr<const AuthoritySet> set_ TRB_GUARDED_BY(mu_);  // never null after Create or Load
};

// Makes DIR/pki/receipt.
absl::Status MakeReceiptSigner(const std::string& directory, const CertificateAuthority& authority);
// Certifies the receipt key again when its certificate is of another authority than the active one.
absl::Status RenewReceiptCertificate(const std::string& directory, const CertificateAuthority& authority);

// How a certificate is kept in the store.
CertificateRow ToRow(const crypto::Certificate& certificate, Role role, const std::string& subject_id,
                     const std::string& request_sha256, int64_t issued_unix_ms);

}  // namespace tributary::identity

#endif  // TRIBUTARY_SERVER_IDENTITY_CA_H_
