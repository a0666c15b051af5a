// How a running coordinator takes in what the command `ca` did to its directory (identity/authority_files.h), at its
// start and at each reload: writes it down in the ledger and the audit, issues with the authority that is active,
// refuses the certificates of a retired one, and tells those who are connected.
// Threads: TakeIn from one thread at a time; the list that trust() points to may be read from any.
#ifndef TRIBUTARY_SERVER_SERVICE_AUTHORITY_INTAKE_H_
#define TRIBUTARY_SERVER_SERVICE_AUTHORITY_INTAKE_H_

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/crypto/trust_list.h"
#include "server/identity/ca.h"
#include "server/identity/identity_store.h"
#include "server/ledger/ledger_store.h"

namespace tributary::service {

class AuthorityIntake {
 public:
  // Borrowed; all outlives this.
  struct Options {
    std::string directory;
    identity::CertificateAuthority* authority = nullptr;
    identity::IdentityStore* identities = nullptr;
    ledger::LedgerStore* ledger = nullptr;
    const Clock* clock = &Clock::System();
    // A client or operator, by id, has no good certificate on the connections it has: they must end.
    std::function<void(const std::string& id)> end;
    // The authorities are others than before. May be empty, as `end`: before anybody is connected.
    std::function<void()> announce;
  };
  explicit AuthorityIntake(Options options);

  // Not OK before the ledger has it: nothing has changed. Later: what is left is done by the next call.
  absl::Status TakeIn();
  // Of the main port's handshakes.
  std::shared_ptr<const crypto::CurrentTrust> trust() const { return trust_; }

 private:
  // What ends with an authority that is retired now: certificates that no other has issued, and whose they are.
  struct Doomed {
    std::vector<std::string> certificates;  // by digest
    std::set<std::string> owners;           // by id
    int64_t invited_before_unix_ms = 0;     // invitations made before name it; 0: none
  };
  absl::StatusOr<Doomed> FindDoomed(const identity::AuthoritySet& set) const;
  // Returns whose certificates were revoked with a retired authority. `changed`: there was something new.
  absl::StatusOr<std::set<std::string>> WriteDown(const identity::AuthoritySet& set, bool* changed);

  const Options options_;
  const std::shared_ptr<crypto::CurrentTrust> trust_;
};

}  // namespace tributary::service

#endif  // TRIBUTARY_SERVER_SERVICE_AUTHORITY_INTAKE_H_
