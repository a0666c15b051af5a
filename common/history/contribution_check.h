// What is checked of one accepted contribution's figures.
// Threads: pure.
#ifndef TRIBUTARY_COMMON_HISTORY_CONTRIBUTION_CHECK_H_
#define TRIBUTARY_COMMON_HISTORY_CONTRIBUTION_CHECK_H_

#include <optional>

#include "common/history/finding.h"
#include "common/history/record_rows.h"
#include "tributary/v1/update.pb.h"

namespace tributary::history {

// Whether the row has the weight that the plan gives it and says what its client signed. The record and the metrics'
// digest have been checked before.
Finding CheckFigures(const ContributionRow& row, const UpdateRow& update, const v1::UpdateRecord& record,
                     uint64_t max_weight);

// Both absent, or the same to the bit.
bool SameFigure(const std::optional<double>& figure, bool has, double value);

// " of client c-1", for findings.
std::string OfClient(const UpdateRow& update);

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_CONTRIBUTION_CHECK_H_
