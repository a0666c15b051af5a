// A data owner's own memory of what it sent: the receipts, and the history its client was shown. From the client's
// directory, read-only, also beside a running client; or from what `tributary-client uploads -o json` printed, carried
// to another machine. Threads: safe from any thread.
#ifndef TRIBUTARY_SERVER_OPERATOR_OWNER_RECEIPTS_H_
#define TRIBUTARY_SERVER_OPERATOR_OWNER_RECEIPTS_H_

#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/history/receipt_check.h"
#include "tributary/v1/update.pb.h"

namespace tributary::op {

struct OwnerReceipts {
  std::vector<v1::Receipt> receipts;  // in the order of sending
  // ---- from a directory only
  std::vector<history::RememberedRun> runs;
  std::set<std::string> authorities;  // of the CA certificates that the client trusts, or trusted once
};

// NOT_FOUND; INVALID_ARGUMENT when it is neither, or a receipt in it cannot be read.
absl::StatusOr<OwnerReceipts> LoadOwnerReceipts(const std::string& path);

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_OWNER_RECEIPTS_H_
