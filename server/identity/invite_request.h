// Whether an InviteRequest can be granted at all.
// Threads: pure functions.
#ifndef TRIBUTARY_SERVER_IDENTITY_INVITE_REQUEST_H_
#define TRIBUTARY_SERVER_IDENTITY_INVITE_REQUEST_H_

#include "absl/time/time.h"
#include "common/base/status.h"
#include "server/identity/identity_store.h"
#include "tributary/v1/operator.pb.h"

namespace tributary::identity {

// INVALID_ARGUMENT lists every fault, one a line.
absl::Status ValidateInvite(const v1::InviteRequest& request, absl::Duration longest_life);

// Of a valid request.
Role InvitedRole(const v1::InviteRequest& request);

}  // namespace tributary::identity

#endif  // TRIBUTARY_SERVER_IDENTITY_INVITE_REQUEST_H_
