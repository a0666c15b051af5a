// What verify checks of one accepted contribution's figures. Internal to server/ledger.
#ifndef TRIBUTARY_SERVER_LEDGER_CONTRIBUTION_CHECK_H_
#define TRIBUTARY_SERVER_LEDGER_CONTRIBUTION_CHECK_H_

#include "server/ledger/round_check.h"

namespace tributary::ledger {

// Whether the row has the weight that the plan gives it and says what its client signed. The record and the metrics'
// digest have been checked before.
Finding CheckFigures(const v1::Contribution& row, const StoredUpdate& update, const v1::UpdateRecord& record,
                     uint64_t max_weight);

}  // namespace tributary::ledger

#endif  // TRIBUTARY_SERVER_LEDGER_CONTRIBUTION_CHECK_H_
