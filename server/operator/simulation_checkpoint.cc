#include "server/operator/simulation_checkpoint.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/crypto/digest.h"
#include "common/learning/model_file.h"

namespace tributary::op {
namespace {

constexpr char kSimulation[] = "simulation_sha256", kRound[] = "round", kCommitted[] = "committed",
               kStopped[] = "stopped";

}  // namespace

std::string SimulationCheckpoint::Fingerprint(v1::RunPlan plan, std::string_view data) {
  plan.clear_rounds();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    plan.SerializeToCodedStream(&out);
  }
  return crypto::Sha256Hex(bytes.append(data));
}

absl::StatusOr<std::unique_ptr<SimulationCheckpoint>> SimulationCheckpoint::Open(std::string path,
                                                                                 const v1::RunPlan& plan,
                                                                                 std::string fingerprint) {
  std::unique_ptr<SimulationCheckpoint> checkpoint(
      new SimulationCheckpoint(std::move(path), plan, std::move(fingerprint)));
  if (FileExists(checkpoint->path_)) TRB_RETURN_IF_ERROR(checkpoint->Read());
  return checkpoint;
}

absl::Status SimulationCheckpoint::Read() {
  TRB_ASSIGN_OR_RETURN(learning::ModelFile file, learning::ReadModelFile(path_));
  if (file.metadata[kSimulation] != fingerprint_)
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": it is of another plan, partition or data; name another file, or remove it"));
  if (!absl::SimpleAtoi(file.metadata[kRound], &round_) || !absl::SimpleAtoi(file.metadata[kCommitted], &committed_))
    return absl::InvalidArgumentError(absl::StrCat(path_, ": it does not say after which round it was written"));
  ended_ = file.metadata[kStopped] == "true" || committed_ >= plan_.rounds();
  parameters_ = std::move(file.parameters);
  return absl::OkStatus();
}

void SimulationCheckpoint::Resume(learning::SimulationInput* input) {
  if (round_ == 0) return;
  input->initial_parameters = std::move(parameters_);
  input->rounds_before = round_;
  input->committed_before = committed_;
}

absl::Status SimulationCheckpoint::Save(const learning::SimulatedRound& round,
                                        std::span<const float> parameters) const {
  const bool stopped = round.last && round.committed < plan_.rounds();
  return learning::WriteModelFile(path_, plan_.model(), parameters,
                                  {{kSimulation, fingerprint_},
                                   {kRound, absl::StrCat(round.round)},
                                   {kCommitted, absl::StrCat(round.committed)},
                                   {kStopped, stopped ? "true" : "false"}});
}

}  // namespace tributary::op
