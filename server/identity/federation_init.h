// What `tributary-coordinator init` does to an empty directory, once the ledger is open: authority, server certificate,
// receipt signer, first operator, federation.json. An interrupted init is begun again: it replaces what it left.
#ifndef TRIBUTARY_SERVER_IDENTITY_FEDERATION_INIT_H_
#define TRIBUTARY_SERVER_IDENTITY_FEDERATION_INIT_H_

#include <string>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/crypto/secure_random.h"
#include "server/identity/federation.h"
#include "server/identity/identity_store.h"

namespace tributary::identity {

// OK: no federation lives in `directory` yet. ALREADY_EXISTS otherwise. For before the ledger is made.
absl::Status CheckNotInitialised(const std::string& directory);

// `wanted` carries host and addresses; id and time are chosen here. INVALID_ARGUMENT lists every bad field.
// Returns what was written to federation.json.
absl::StatusOr<Federation> InitFederation(const std::string& directory, Federation wanted, IdentityStore& store,
                                          const Clock& clock, crypto::SecureRandom& random);

}  // namespace tributary::identity

#endif  // TRIBUTARY_SERVER_IDENTITY_FEDERATION_INIT_H_
