// Authorities in the ledger: their certificates, what links them, and the steps in which one took over from another.
// Threads: as Database.
#ifndef TRIBUTARY_SERVER_LEDGER_AUTHORITY_LEDGER_H_
#define TRIBUTARY_SERVER_LEDGER_AUTHORITY_LEDGER_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/crypto/certificate.h"
#include "common/crypto/trust_list.h"
#include "common/history/finding.h"
#include "common/history/kin.h"
#include "common/storage/database.h"

namespace tributary::ledger {

// "staged", "active", "retiring", "retired".
std::string_view AuthorityStateName(crypto::AuthorityNews::State state);

// There already is OK.
absl::Status AddAuthority(storage::Database& database, const crypto::Certificate& authority);

// A step that is new to the ledger.
struct AuthorityStep {
  std::string sha256;
  crypto::AuthorityNews::State state;
};
// Writes down what is not there yet of the authorities, their links and their states; each new state is a row of the
// audit ("ca.stage", "ca.activate", "ca.retiring", "ca.retire"), but for the active one of a ledger that knows of none:
// that is how a federation begins. Inside a write transaction of the caller's. Returns the new ones.
absl::StatusOr<std::vector<AuthorityStep>> RecordAuthorities(storage::Database& database,
                                                             const std::vector<crypto::AuthorityNews>& all,
                                                             int64_t now_unix_ms);

// All links, oldest authority first. DATA_LOSS, naming it: one of them cannot be read.
absl::StatusOr<std::vector<history::AuthorityLink>> ReadAuthorityLinks(storage::Database& database);
// What is wrong with the first link that does not hold; empty when nothing is.
history::Finding FindBrokenLink(storage::Database& database);

// When each step was taken in, by authority and name of the state.
absl::StatusOr<std::map<std::pair<std::string, std::string>, int64_t>> ReadAuthoritySteps(storage::Database& database);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_AUTHORITY_LEDGER_H_
