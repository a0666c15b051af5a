// Who can follow when one authority takes over from another, and who would be left behind: decisions over what the
// store remembers and what lies on the disk. Threads: pure functions.
#ifndef TRIBUTARY_SERVER_IDENTITY_ROTATION_H_
#define TRIBUTARY_SERVER_IDENTITY_ROTATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/identity/authority_files.h"
#include "server/identity/identity_store.h"
#include "tributary/v1/authority.pb.h"

namespace tributary::identity {

// How one authority stands: who said that it is trusted, and how many certificates of it are good.
struct AuthorityStanding {
  crypto::Certificate certificate;
  crypto::AuthorityNews::State state;
  uint64_t trusted_by = 0;    // clients and operators
  uint64_t certificates = 0;  // active and in date; of a retired one none counts
};
// In the order of set.all.
std::vector<AuthorityStanding> Standings(const AuthoritySet& set, const std::vector<Member>& members, absl::Time now);

// "client NAME" of each client with a certificate in date that has not said that it trusts this authority: activating
// it would leave it behind. (A client that meets the new one while the old is not retired yet can still follow; one of
// an older version cannot.)
std::vector<std::string> NotYetTrusting(const std::string& authority_sha256, const std::vector<Member>& members,
                                        absl::Time now);
// "client NAME" or "operator NAME" of each that still holds a certificate of this authority in date. Not the operator
// of the coordinator's own host, whom the coordinator keeps fresh.
std::vector<std::string> StillHolding(const crypto::Certificate& authority, const std::vector<Member>& members,
                                      absl::Time now);
// Digests of the certificates that are active and that none whom `trust` trusts has issued: good for nothing any more.
std::vector<std::string> OfNobody(const crypto::TrustList& trust, const std::vector<Member>& members);

// What to tell peers: nothing while there has only ever been one. `with_past`: those that are retired too. The time to
// renew in gives each of `clients` a moment to itself.
v1::AuthorityList TellAuthorities(const AuthoritySet& set, bool with_past, uint64_t clients);

}  // namespace tributary::identity

#endif  // TRIBUTARY_SERVER_IDENTITY_ROTATION_H_
