// Trains the image presets a few steps on synthetic digits with the set that TRIBUTARY_ISA names and prints a line
// each:
//   ENGINE MODEL OPTIMISER SHA-256 of the parameters
// Equal engines must give equal lines whoever compiled this program: tests/portability/compare_compilers.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/crypto/digest.h"
#include "common/data/load.h"
#include "common/learning/initial_model.h"
#include "common/learning/local_trainer.h"
#include "common/nn/engine.h"
#include "tributary/v1/plan.pb.h"

namespace tributary::learning {
namespace {

constexpr uint64_t kSeed = 7;

v1::TrainPlan Plan(v1::Optimizer optimizer, const char* precision) {
  v1::TrainPlan plan;
  plan.set_epochs(1);
  plan.set_batch_size(32);
  plan.set_optimizer(optimizer);
  plan.set_learning_rate(optimizer == v1::OPTIMIZER_ADAM ? 0.001 : 0.05);
  plan.set_precision(precision);
  return plan;
}

absl::StatusOr<std::string> DigestAfterTraining(const std::string& preset, const v1::TrainPlan& plan,
                                                const data::Dataset& digits) {
  TRB_ASSIGN_OR_RETURN(const v1::ModelDescription proto, nn::ModelDescription::Preset(preset));
  TRB_ASSIGN_OR_RETURN(const nn::ModelDescription model, nn::ModelDescription::FromProto(proto));
  TRB_ASSIGN_OR_RETURN(std::vector<float> parameters, InitialParameters(model, kSeed));
  const LocalTask task = {.model = model,
                          .base = parameters,
                          .data = digits,
                          .plan = plan,
                          .learning_rate = plan.learning_rate(),
                          .run_seed = kSeed,
                          .round = 1,
                          .client_name = "alpha",
                          .threads = 2};
  TRB_ASSIGN_OR_RETURN(const LocalResult result, TrainLocally(task));
  for (size_t i = 0; i < parameters.size(); ++i) parameters[i] += result.delta[i];
  const auto* bytes = reinterpret_cast<const char*>(parameters.data());
  return crypto::Sha256Hex({bytes, parameters.size() * sizeof(float)});
}

absl::Status PrintDigests(nn::Precision precision) {
  data::LoadOptions options;
  options.split = data::Split::kTrain;  // 300: the last batch is ragged
  TRB_ASSIGN_OR_RETURN(const data::LoadResult loaded, data::LoadData("synthetic:300:1", options));
  const std::string engine = nn::EngineName(precision);
  const char* name = precision == nn::Precision::kBf16 ? "bf16" : "float32";
  for (const char* preset : {"keras-cnn", "fedavg-cnn"}) {
    for (const v1::Optimizer optimizer : {v1::OPTIMIZER_SGD, v1::OPTIMIZER_MOMENTUM, v1::OPTIMIZER_ADAM}) {
      TRB_ASSIGN_OR_RETURN(const std::string digest,
                           DigestAfterTraining(preset, Plan(optimizer, name), loaded.dataset));
      std::printf("%s %s %s %s\n", engine.c_str(), preset, v1::Optimizer_Name(optimizer).c_str(), digest.c_str());
    }
  }
  return absl::OkStatus();
}

// One set a process: the one that TRIBUTARY_ISA names, in bf16 if that is a bf16 set. Without it, their names.
absl::Status Run() {
  if (std::getenv("TRIBUTARY_ISA") == nullptr) {
    for (const nn::Precision precision : {nn::Precision::kFloat32, nn::Precision::kBf16}) {
      for (const std::string& isa : nn::SupportedIsas(precision)) std::printf("%s\n", isa.c_str());
    }
    return absl::OkStatus();
  }
  TRB_RETURN_IF_ERROR(nn::CheckEngine());
  return PrintDigests(nn::HasBf16() ? nn::Precision::kBf16 : nn::Precision::kFloat32);
}

}  // namespace
}  // namespace tributary::learning

int main() {
  const absl::Status status = tributary::learning::Run();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
