// Which round of a run has the best model. Pure.
#ifndef TRIBUTARY_COMMON_HISTORY_BEST_ROUND_H_
#define TRIBUTARY_COMMON_HISTORY_BEST_ROUND_H_

#include "tributary/v1/operator.pb.h"

namespace tributary::history {

// Whether `later` is better than `earlier`: by test accuracy, where one has it; else by validation accuracy; else by
// the lowest loss (test, validation, train: the first of these that one has). Measured beats not measured; a tie stays
// with the earlier one.
bool IsBetterRound(const v1::Round& later, const v1::Round& earlier);

}  // namespace tributary::history

#endif  // TRIBUTARY_COMMON_HISTORY_BEST_ROUND_H_
