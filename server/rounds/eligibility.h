// Which enrolled clients a round may take, and in which order. Pure: no I/O, no clock.
// Being busy with another run does not change eligibility; neither does being offline.
#ifndef TRIBUTARY_SERVER_ROUNDS_ELIGIBILITY_H_
#define TRIBUTARY_SERVER_ROUNDS_ELIGIBILITY_H_

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/nn/model_description.h"
#include "server/rounds/dispatcher.h"
#include "server/rounds/round.h"

namespace tributary::v1 {
class RunPlan;
}

namespace tributary::rounds {

// OK, or FAILED_PRECONDITION saying why not: a label that `round.where` asks for, or data that does not fit the model.
// A client that never said hello (examples 0, no shape, offline) is judged by its labels alone.
absl::Status CheckEligible(const v1::RunPlan& plan, const nn::ModelDescription& model, const Candidate& client);

struct RankedClients {
  std::vector<SelectionCandidate> ranked;  // most preferred first
  std::string shortage;                    // for people, when some are not eligible: how many, and why the first is not
};

// Keeps the eligible ones, ordered by SHA-256(run seed, round, client name).
RankedClients RankEligible(const v1::RunPlan& plan, const nn::ModelDescription& model, uint64_t round,
                           const std::vector<Candidate>& clients);

}  // namespace tributary::rounds

#endif  // TRIBUTARY_SERVER_ROUNDS_ELIGIBILITY_H_
