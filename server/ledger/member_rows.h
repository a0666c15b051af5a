// Who can follow when an authority is replaced, in the database: rows behind IdentityStore's members. Internal to
// server/ledger. Threads: as Database.
#ifndef TRIBUTARY_SERVER_LEDGER_MEMBER_ROWS_H_
#define TRIBUTARY_SERVER_LEDGER_MEMBER_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/storage/database.h"
#include "server/identity/identity_store.h"

namespace tributary::ledger {

struct MemberKey {
  identity::Role role;
  std::string id;
};
// What a member trusts, instead of what it said before; written when it is news. Inside a transaction of the caller's.
absl::Status ReplaceTrust(storage::Database& database, const MemberKey& member,
                          const std::vector<std::string>& authorities, int64_t now_unix_ms);

// IdentityStore::ListMembers and InvitedBefore.
absl::StatusOr<std::vector<identity::Member>> ReadMembers(storage::Database& database);
absl::StatusOr<std::vector<std::string>> ReadInvitedBefore(storage::Database& database, int64_t unix_ms,
                                                           int64_t now_unix_ms);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_MEMBER_ROWS_H_
