#include "common/history/round_means.h"

#include <algorithm>

namespace tributary::history {
namespace {

std::optional<double> WeightedMean(const std::vector<Reported>& accepted,
                                   std::optional<double> RoundMeans::*const figure) {
  double sum = 0, weights = 0;
  for (const Reported& client : accepted) {
    const std::optional<double>& value = client.figures.*figure;
    if (!value.has_value()) continue;
    sum += *value * static_cast<double>(client.weight);
    weights += static_cast<double>(client.weight);
  }
  if (weights == 0) return std::nullopt;
  return sum / weights;
}

}  // namespace

RoundMeans MeansOf(std::vector<Reported> accepted) {
  std::sort(accepted.begin(), accepted.end(),
            [](const Reported& a, const Reported& b) { return a.client_name < b.client_name; });
  return {WeightedMean(accepted, &RoundMeans::train_loss), WeightedMean(accepted, &RoundMeans::validation_loss),
          WeightedMean(accepted, &RoundMeans::validation_accuracy)};
}

}  // namespace tributary::history
