// Where a simulation is: a model file (model_file.h) whose metadata say after which round of which simulation. Written
// durably after each round, so that a run of hours that was killed goes on where it was, and ends as if it had not
// been. Threads: one at a time.
#ifndef TRIBUTARY_SERVER_OPERATOR_SIMULATION_CHECKPOINT_H_
#define TRIBUTARY_SERVER_OPERATOR_SIMULATION_CHECKPOINT_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/learning/simulator.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::op {

class SimulationCheckpoint {
 public:
  // Names a simulation: its plan but for the number of rounds, which may be raised later, and what it trains on.
  static std::string Fingerprint(v1::RunPlan plan, std::string_view data);

  // Reads the file if it is there. `plan` is borrowed and must outlive the checkpoint. FAILED_PRECONDITION when the
  // file is of another simulation.
  static absl::StatusOr<std::unique_ptr<SimulationCheckpoint>> Open(std::string path, const v1::RunPlan& plan,
                                                                    std::string fingerprint);

  // Nothing is left to do: its stop rule was met.
  bool ended() const { return ended_; }
  // Sets where `input` begins. Leaves it alone when there was no file.
  void Resume(learning::SimulationInput* input);
  // Replaces the file. `round` was committed.
  absl::Status Save(const learning::SimulatedRound& round, std::span<const float> parameters) const;

 private:
  SimulationCheckpoint(std::string path, const v1::RunPlan& plan, std::string fingerprint)
      : path_(std::move(path)), plan_(plan), fingerprint_(std::move(fingerprint)) {}
  absl::Status Read();

  const std::string path_;
  const v1::RunPlan& plan_;
  const std::string fingerprint_;
  uint64_t round_ = 0, committed_ = 0;
  bool ended_ = false;
  std::vector<float> parameters_;
};

}  // namespace tributary::op

#endif  // TRIBUTARY_SERVER_OPERATOR_SIMULATION_CHECKPOINT_H_
