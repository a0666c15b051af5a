// A key with its certificate and the authorities that its owner believes on disk, replaced all at once: the readers
// (gRPC's file watcher, OpenSSL) see the old ones or the new ones, never a mixture, and a crash at any instant leaves
// one of the two.
//
//   ROOT/current -> versions/N             a symbolic link, swapped by rename
//   ROOT/versions/N/key.pem                0600
//   ROOT/versions/N/certificate.pem        the certificate, then those that are shown with it (none, as a rule)
//   ROOT/versions/N/ca.pem                 the authorities that are trusted; the first issues now
//   ROOT/versions/N/past.pem               those of the past; absent when there are none
//   ROOT/pending/{key.pem, request.pem}    a key whose certificate has been asked for and not yet come
//
// ROOT is made 0700. One writer at a time; readers need no lock.
// Errors: NOT_FOUND (nothing installed), PERMISSION_DENIED (key readable by others), INVALID_ARGUMENT (the files do not
// belong together), and those of common/base/files.h.
#ifndef TRIBUTARY_COMMON_CRYPTO_CREDENTIAL_DIRECTORY_H_
#define TRIBUTARY_COMMON_CRYPTO_CREDENTIAL_DIRECTORY_H_

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/crypto/key.h"
#include "common/crypto/trust_list.h"

namespace tributary::crypto {

struct Credential {
  PrivateKey key;
  Certificate certificate;
  TrustList trust;                      // one of the trusted signed `certificate`
  std::vector<Certificate> chain = {};  // shown after the certificate: cross certificates of its issuer
};

struct PendingRequest {
  PrivateKey key;
  std::string request_pem;
};

class CredentialDirectory {
 public:
  explicit CredentialDirectory(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string key_path() const { return root_ + "/current/key.pem"; }
  std::string certificate_path() const { return root_ + "/current/certificate.pem"; }
  std::string ca_path() const { return root_ + "/current/ca.pem"; }
  std::string past_path() const { return root_ + "/current/past.pem"; }

  // What is installed, checked: key private, certificate of that key, signed by an authority that is trusted.
  absl::StatusOr<Credential> Load() const;
  // The name of the version that is installed, another one after each Install; NOT_FOUND.
  absl::StatusOr<std::string> InstalledVersion() const;
  // The authorities alone: for readers who may not see the key.
  absl::StatusOr<TrustList> LoadTrust() const;
  // Writes a new version, syncs it, swaps the link, removes all versions but the newest two.
  absl::Status Install(const Credential& credential);

  // The key and request that wait for an answer, or new ones, synced before this returns.
  absl::StatusOr<PendingRequest> PreparePending();
  bool HasPending() const;
  // Installs the pending key with what was issued for it; the pending files stay until DropPending, so that the caller
  // can put more in place first. FAILED_PRECONDITION when there is no pending key; INVALID_ARGUMENT when the
  // certificate is not for it or not signed by one of `trust`.
  absl::Status InstallPending(const Certificate& certificate, const TrustList& trust);
  // The installed key and certificate with another list beside them. False when it was this list already.
  absl::StatusOr<bool> InstallTrust(const TrustList& trust);
  // After a definitive refusal, or once all is in place. Absent is OK.
  absl::Status DropPending();

 private:
  const std::string root_;
};

}  // namespace tributary::crypto

#endif  // TRIBUTARY_COMMON_CRYPTO_CREDENTIAL_DIRECTORY_H_
