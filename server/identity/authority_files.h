// The authorities of a federation on disk, and the steps in which a new one takes over (the command `ca`). Which
// directories are there says how far it is; each step is one rename, so a kill leaves the state before it or after it,
// and running the step again ends it.
//
//   DIR/pki/ca/            the one that issues: ca.key (0600), ca.crt, and once it took over from another, the links:
//                          link.crt, its key certified by its predecessor, and back.crt, the predecessor's key
//                          certified by it
//   DIR/pki/ca.next/       as above: staged, trusted, issues nothing yet
//   DIR/pki/ca.old/        the one before, until it is retired: its certificates are good, it issues no more
//   DIR/pki/ca.retired/SHA256/   ca.crt and links alone: for histories
//
//   ca               -- stage -->     ca + ca.next
//   ca + ca.next     -- activate -->  ca + ca.old      (in between ca.old + ca.next: counts as activated)
//   ca + ca.old      -- retire -->    ca + ca.retired/...
//
// Each function holds a lock on DIR/pki while it works: FAILED_PRECONDITION, naming the holder, when another process
// does.
// Other errors: NOT_FOUND (no authority), PERMISSION_DENIED (a key that others can read), INVALID_ARGUMENT (files that
// do not belong together), FAILED_PRECONDITION (not the time for this step), and those of common/base/files.h.
// Threads: pure functions over the disk; from any thread.
#ifndef TRIBUTARY_SERVER_IDENTITY_AUTHORITY_FILES_H_
#define TRIBUTARY_SERVER_IDENTITY_AUTHORITY_FILES_H_

#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/crypto/certificate_issuer.h"
#include "common/crypto/secure_random.h"
#include "common/crypto/trust_list.h"

namespace tributary::identity {

// What lies on the disk, read in one piece.
struct AuthoritySet {
  crypto::Issuer issuer;                   // the active one
  std::vector<crypto::AuthorityNews> all;  // the active one first, then staged or retiring, then retired, newest first

  // The one in this state of which there is at most one: staged, active, retiring.
  const crypto::AuthorityNews* Find(crypto::AuthorityNews::State state) const;
  crypto::TrustList Trust() const;  // active, then staged or retiring; the past are the retired ones
  // What a server shows with its certificate while peers may be about who know only the authority before: the word of
  // the retiring one for the active one. Empty at other times.
  std::vector<crypto::Certificate> Chain() const;
};

// A key and its certificate from two files. INVALID_ARGUMENT when they do not belong together; errors of
// PrivateKey::Load.
absl::StatusOr<crypto::Issuer> LoadIssuer(const std::string& key_path, const std::string& certificate_path);

// Makes the first one; replaces what an interrupted init left there.
absl::Status MakeFirstAuthority(const std::string& directory, const std::string& federation, const Clock& clock,
                                crypto::SecureRandom& random);

// Ends what a killed step left half done, then reads.
absl::StatusOr<AuthoritySet> LoadAuthorities(const std::string& directory);
// As it is, for a look at somebody else's directory: nothing is changed and no lock taken.
absl::StatusOr<AuthoritySet> PeekAuthorities(const std::string& directory);

// A new authority, certified by the active one and certifying it. Staged before: that one stays.
absl::Status StageAuthority(const std::string& directory, const std::string& federation, const Clock& clock,
                            crypto::SecureRandom& random);
// The staged one issues from now on. FAILED_PRECONDITION when there is none.
absl::Status ActivateAuthority(const std::string& directory);
// The one before goes to the past: its key is deleted. FAILED_PRECONDITION when there is none.
absl::Status RetireAuthority(const std::string& directory);

}  // namespace tributary::identity

#endif  // TRIBUTARY_SERVER_IDENTITY_AUTHORITY_FILES_H_
