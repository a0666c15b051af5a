// The rate of a round, as the coordinator puts it into the task: learning_rate * learning_rate_decay^committed.
// Multiplied up one by one, so that every libm gives the same bits. Threads: pure.
#ifndef TRIBUTARY_COMMON_LEARNING_LEARNING_RATE_H_
#define TRIBUTARY_COMMON_LEARNING_LEARNING_RATE_H_

#include <cstdint>

#include "tributary/v1/plan.pb.h"

namespace tributary::learning {

// `committed` = rounds of the run committed so far: 0 for the first; an abandoned round does not lower the rate.
inline double LearningRateAfter(const v1::TrainPlan& plan, uint64_t committed) {
  double rate = plan.learning_rate();
  const double decay = plan.learning_rate_decay() == 0 ? 1.0 : plan.learning_rate_decay();
  if (decay == 1.0) return rate;
  for (uint64_t i = 0; i < committed && rate > 0; ++i) rate *= decay;
  return rate;
}

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_LEARNING_RATE_H_
