// Authorities of one federation that vouch for each other: which certificates count in a history that spans the change
// from one to the next. Dates do not matter here: what was vouched for once was of this federation.
// Threads: pure functions.
#ifndef TRIBUTARY_COMMON_HISTORY_KIN_H_
#define TRIBUTARY_COMMON_HISTORY_KIN_H_

#include <vector>

#include "common/crypto/certificate.h"
#include "common/crypto/trust_list.h"

namespace tributary::history {

// `cross` is the word of some authority for `authority` (crypto::CheckCross).
struct AuthorityLink {
  crypto::Certificate authority, cross;
};

// Those links that lead on from `root`, each after the one that leads to its signer. Others are left out.
std::vector<AuthorityLink> Leading(const crypto::Certificate& root, const std::vector<AuthorityLink>& links);
// `root`, and every authority that such links lead to.
std::vector<crypto::Certificate> KinOf(const crypto::Certificate& root, const std::vector<AuthorityLink>& links);

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_KIN_H_
