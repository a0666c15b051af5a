// A federated run in one process: the trainer, the strategy, the selection and the seeds of a real run, without
// transport. Virtual clients are named client-0001, client-0002... A real run whose clients have these names, these
// parts and this seed, in which every invited update is accepted, gives the same model digests.
//
// Clients of a round train side by side, as many as there are threads; when fewer are chosen, each gets several. The
// result does not depend on how many. Memory: a network a thread and the data; nothing grows with clients or rounds but
// the parts and a few names.
//
// As in a real run, a client that cannot train (its split leaves nothing, its loss stops being finite) is left out of
// the round and a spare one of over_select takes its place; with fewer than min_clients left the round is abandoned,
// the model unchanged, its number not used again. Nobody is slow or away here, so spares do nothing else.
// Threads: Simulate calls `observe` from the calling thread; `stop` also from its workers.
#ifndef TRIBUTARY_COMMON_LEARNING_SIMULATOR_H_
#define TRIBUTARY_COMMON_LEARNING_SIMULATOR_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/data/dataset.h"

namespace tributary::v1 {
class RunPlan;
}

namespace tributary::learning {

class SimulationTrace;

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
  // To go on where another call was: `initial_parameters` are those after round `rounds_before`, of which
  // `committed_before` were committed. What follows is what that call would have done.
  uint64_t rounds_before = 0, committed_before = 0;
  const SimulationTrace* trace = nullptr;  // null: no record is kept
};

// What is printed of a round (design section 7, `simulate -o jsonl`).
struct SimulatedRound {
  uint64_t round = 0;
  uint64_t committed = 0;                                   // of the run's rounds, this one included
  bool abandoned = false;                                   // nothing below but `failed` and `seconds` is set
  std::vector<std::string> clients;                         // whose updates were taken, in rank order
  std::vector<std::string> update_sha256;                   // likewise
  std::vector<std::pair<std::string, std::string>> failed;  // clients that could not train, and why
  uint64_t examples = 0;                                    // sum of the updates' weights
  std::optional<double> train_loss;                         // mean over the clients by weight, as a coordinator has it
  std::optional<double> validation_loss, validation_accuracy;  // likewise, of the clients that have a value
  std::optional<double> test_loss, test_accuracy;
  double seconds = 0;  // training and aggregation, without evaluation
  std::string model_sha256;
  bool last = false;  // no round follows: the plan's rounds are done, or its stop rule was met
};

// client-0001 for 0.
std::string SimulatedClientName(size_t index);

// Gets each round as it ends, with the model after it. An error ends the simulation.
using RoundObserver = std::function<absl::Status(const SimulatedRound& round, std::span<const float> parameters)>;

// The parameters after the last round. `observe` may be empty.
//   INVALID_ARGUMENT     the model description, round.clients, the plan's training part or the initial parameters
//   FAILED_PRECONDITION  data and model do not fit; fewer clients hold examples than min_clients
//   that of a client     max_failed_rounds rounds in a row were abandoned; names the last one, its clients and reasons
//   CANCELLED            `stop`
absl::StatusOr<std::vector<float>> Simulate(const SimulationInput& input, const RoundObserver& observe);

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_SIMULATOR_H_
