// Authorities on the wire (authority.proto), to and from what crypto::Adopt judges. Threads: pure functions.
#ifndef TRIBUTARY_COMMON_RPC_AUTHORITY_LIST_H_
#define TRIBUTARY_COMMON_RPC_AUTHORITY_LIST_H_

#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/crypto/trust_list.h"
#include "tributary/v1/authority.pb.h"

namespace tributary::rpc {

v1::AuthorityList AuthoritiesToProto(const std::vector<crypto::AuthorityNews>& news);

// Checks everything that the text itself can tell, whoever sent it. INVALID_ARGUMENT.
absl::StatusOr<std::vector<crypto::AuthorityNews>> AuthoritiesFromProto(const v1::AuthorityList& list);

// crypto::Adopt of what a coordinator said. An empty list changes nothing. INVALID_ARGUMENT, PERMISSION_DENIED: as
// above and there; what was trusted before still is.
absl::StatusOr<crypto::TrustList> AdoptFrom(const v1::AuthorityList& list, const crypto::TrustList& before,
                                            const crypto::Certificate& own, absl::Time now);

// How long the certificate's owner should wait, once it was told, before it renews because the active authority is
// another than its issuer: some part of `within`; which depends on the certificate alone, so that a fleet does not come
// together and a restart does not draw again. For ever, when its issuer is the active one.
absl::Duration ReissueAfter(const crypto::Certificate& own, const crypto::TrustList& trust, absl::Duration within);

}  // namespace tributary::rpc

#endif  // TRIBUTARY_COMMON_RPC_AUTHORITY_LIST_H_
