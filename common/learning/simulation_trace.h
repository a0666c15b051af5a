// A record of what a simulation computed, for a replay by another program (tests/bench/replay_trace.py):
//   DIR/trace.json                            {"schema_version": 1, "plan": the RunPlan as protobuf JSON}
//   DIR/model-0000.safetensors                the weights that the first round starts from; model-0007: after round 7
//   DIR/round-0001/client-0003.jsonl          a line a step: {"step", "learning_rate", "loss", "indices"}; step from 1;
//                                             loss: mean over the batch before the step; indices: of the batch's
//                                             examples in the training data as loaded, in order
//   DIR/round-0001/client-0003.safetensors    that client's weights after its last step
// Weights are in Keras' names and layouts (model_file.h). Numbers are zero-padded to four digits, longer ones are as
// long as they are.
// Threads: safe from any thread, as long as no two write the same file.
#ifndef TRIBUTARY_COMMON_LEARNING_SIMULATION_TRACE_H_
#define TRIBUTARY_COMMON_LEARNING_SIMULATION_TRACE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/base/status.h"
#include "common/learning/local_trainer.h"

namespace tributary::v1 {
class RunPlan;
}

namespace tributary::learning {

class SimulationTrace {
 public:
  // Makes the directory and trace.json. `plan` is borrowed and must outlive the trace. ALREADY_EXISTS when a trace is
  // there: a mixture of two would replay as neither.
  static absl::StatusOr<std::unique_ptr<SimulationTrace>> Create(std::string directory, const v1::RunPlan& plan);

  // The global model after `round`; 0: the initial one.
  absl::Status WriteModel(uint64_t round, std::span<const float> parameters) const;

  // One client's steps in one round: collect the lines, then write them. `client` is a name of SimulatedClientName.
  static void AppendStep(const StepRecord& record, double learning_rate, std::string* lines);
  absl::Status WriteClient(const LocalTask& task, const std::string& lines, std::span<const float> parameters) const;

 private:
  SimulationTrace(std::string directory, const v1::RunPlan& plan) : directory_(std::move(directory)), plan_(plan) {}

  const std::string directory_;
  const v1::RunPlan& plan_;
};

}  // namespace tributary::learning

#endif  // TRIBUTARY_COMMON_LEARNING_SIMULATION_TRACE_H_
