// A federated run in one process: the trainer, the strategy, the selection and the seeds of a real run, without
// transport. Virtual clients are named client-0001, client-0002... A real run whose clients have these names, these
// parts and this seed, in which every invited update is accepted, gives the same model digests. Clients of a round
// train side by side, one thread each; the result does not depend on how many. Threads: Simulate calls `on_round` and
// `stop` from the calling thread (`stop` also from its workers).
#ifndef TRIBUTARY_COMMON_LEARNING_SIMULATOR_H_
#define TRIBUTARY_COMMON_LEARNING_SIMULATOR_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/data/dataset.h"

namespace tributary::v1 {
class RunPlan;
}

namespace tributary::learning {

// Borrowed for the call.
struct SimulationInput {
  const v1::RunPlan& plan;
  const data::Dataset& train;
  std::vector<std::vector<uint32_t>> parts;    // one a client: indices into `train`
  const data::Dataset* test = nullptr;         // null: no test metrics
  std::vector<float> initial_parameters = {};  // empty = InitialParameters of the plan's seed
  int threads = 1;
  std::function<bool()> stop = {};  // may be empty; safe from several threads
  const Clock* clock = &Clock::System();
};

// What is printed of a round (design section 7, `simulate -o jsonl`).
struct SimulatedRound {
  uint64_t round = 0;
  std::vector<std::string> clients;        // whose updates were taken, in rank order
  std::vector<std::string> update_sha256;  // likewise
  uint64_t examples = 0;                   // sum of the updates' weights
  std::optional<double> train_loss;        // mean over the clients by weight, as a coordinator has it
  std::optional<double> validation_loss, validation_accuracy;  // likewise, of the clients that have a value
  std::optional<double> test_loss, test_accuracy;
  double seconds = 0;  // training and aggregation, without evaluation
  std::string model_sha256;
};

struct SimulationResult {
  std::vector<SimulatedRound> rounds;
  std::vector<float> parameters;  // of the last round
};

// client-0001 for 0.
std::string SimulatedClientName(size_t index);

// Errors of the model description and TrainLocally's, with round and client named. CANCELLED: `stop`.
absl::StatusOr<SimulationResult> Simulate(const SimulationInput& input,
                                          const std::function<void(const SimulatedRound&)>& on_round);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_SIMULATOR_H_
