#include "common/learning/initial_model.h"

#include <memory>

#include "common/learning/seeds.h"
#include "common/nn/network.h"

namespace tributary::learning {

absl::StatusOr<std::vector<float>> InitialParameters(const nn::ModelDescription& model, uint64_t run_seed) {
  const nn::Network::Options options{.max_batch = 1, .training = false};
  TRB_ASSIGN_OR_RETURN(const std::unique_ptr<nn::Network> network, nn::Network::Create(model, options));
  network->InitializeGlorot(DeriveSeed(run_seed, 0, "", kInitPurpose));
  const auto parameters = network->parameters();
  return std::vector<float>(parameters.begin(), parameters.end());
}

}  // namespace tributary::learning
